/**
 * Draws the picture of a run for a document: `draw-overview.mjs RESULT.json PICTURE.svg`, where
 * RESULT.json is from the run's folder. The project must have been built.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseResult } from '../build/src/report/result-file.js';
import { renderOverviewSvg } from '../build/src/report/svg.js';

const [, , resultFile, pictureFile] = process.argv;
const result = parseResult(readFileSync(resultFile, 'utf8'), resultFile);
writeFileSync(pictureFile, renderOverviewSvg(result));
