/**
 * Judges what a browser made of a report: `check-report-dom.mjs DOM CONSOLE`, the page after its
 * scripts have run and the browser's log. What is looked for is listed at the head of
 * `src/report/html.ts`. Ends with 1 and the reasons if something is missing.
 */
import { readFileSync } from 'node:fs';

const [, , domFile, consoleFile] = process.argv;
const dom = readFileSync(domFile, 'utf8');
const log = readFileSync(consoleFile, 'utf8');

/** Pictures before the charts are static; what the script draws stands in this part. */
const charts = dom.slice(dom.search(/<[a-z]+ id="charts"/), dom.indexOf('id="checks"'));

function count(pattern) {
  return charts.match(pattern)?.length ?? 0;
}

function hasClass(name) {
  return new RegExp(`<[a-z]+ [^>]*class="(?:[^"]* )?${name}(?: [^"]*)?"`, 'g');
}

const drawn = Number(/<html[^>]*\sdata-charts="(\d+)"/.exec(dom)?.[1] ?? 0);
const guests = count(/<figure class="chart" data-guest=/g);
const problems = [];
if (guests === 0) problems.push('no guest has a chart');
if (drawn !== 2 * guests)
  problems.push(`${drawn} plots are drawn for ${guests} guests, not 2 each`);
if (count(hasClass('uplot')) !== drawn)
  problems.push(`${count(hasClass('uplot'))} plots are there`);
if (count(/<canvas/g) < drawn) problems.push('a plot has no canvas');
if (!/id="verdict"/.test(dom)) problems.push('there is no verdict');
if (/id="verdict"[^>]*class="broken"/.test(dom)) {
  problems.push('the verdict is that something is broken');
}
if (count(hasClass('outage')) === 0) problems.push('no outage is shaded');
for (const line of log.split('\n')) if (line.includes(':CONSOLE')) problems.push(line.trim());

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${drawn} plots of ${guests} guests are drawn, and the browser has nothing to say`);
