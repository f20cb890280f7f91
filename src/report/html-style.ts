/**
 * The style sheet of the HTML report.
 *
 * Fonts are the reader's own: nothing is fetched. Colours are variables with a light and a dark
 * set; `data-print` on the root, which the script sets around printing, forces the light one for
 * the canvases, as the print rules do for the rest. All text meets a contrast of 4.5 to 1 on its
 * background in both sets.
 */

const LIGHT = `color-scheme:light;
--ink:#1b1f24;--faint:#57606a;--paper:#ffffff;--panel:#f3f5f8;--edge:#d5dbe2;
--good:#00734f;--bad:#b42318;--good-panel:#e6f4ee;--bad-panel:#fcebe9;
--rate:#0072b2;--rate-fill:rgba(0,114,178,.16);--p50:#00855f;--p99:#0072b2;--max:#a8447f;
--gone:#c04b00;--gone-fill:rgba(213,94,0,.16);--gone-line:rgba(213,94,0,.55);`;

const DARK = `color-scheme:dark;
--ink:#e8edf2;--faint:#a3afbb;--paper:#11161c;--panel:#1b222b;--edge:#37424e;
--good:#4bd3a5;--bad:#ff8f85;--good-panel:#12302a;--bad-panel:#3a1b1b;
--rate:#5cb8ec;--rate-fill:rgba(92,184,236,.18);--p50:#2fbf92;--p99:#5cb8ec;--max:#e79bc6;
--gone:#ff9a52;--gone-fill:rgba(255,154,82,.2);--gone-line:rgba(255,154,82,.6);`;

export const REPORT_STYLE: string = `
:root{${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root:not([data-print]){${DARK}}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 56px}
h1{font-size:26px;line-height:1.25;margin:0;text-wrap:balance}
h2{font-size:18px;line-height:1.3;margin:40px 0 12px}
h3{font-size:15px;line-height:1.3;margin:0 0 8px}
p{margin:0 0 8px;max-width:76ch}
.faint{color:var(--faint)}
code,time,.number{font-variant-numeric:tabular-nums}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.92em;overflow-wrap:anywhere}
#verdict{border-left:6px solid var(--good);background:var(--good-panel);border-radius:8px;
padding:18px 20px;margin-bottom:16px}
#verdict.broken{border-color:var(--bad);background:var(--bad-panel)}
#verdict .result{font-weight:600;font-size:17px;margin:6px 0 10px;color:var(--good);max-width:none}
#verdict.broken .result{color:var(--bad)}
#verdict p:last-child{margin:0}
#limits{border-left:6px solid var(--edge);background:var(--panel);border-radius:8px;
padding:12px 20px;margin:0 0 16px}
#limits h2{font-size:15px;margin:0 0 4px}
#limits ul,#violations ul{margin:0;padding-left:20px}
#violations{border-left:6px solid var(--bad);background:var(--bad-panel);border-radius:8px;
padding:12px 20px;margin:0 0 16px;overflow-wrap:anywhere}
#violations h2{font-size:15px;margin:0 0 4px}
#overview{margin:24px 0 0}
#overview figcaption{color:var(--faint);font-size:13px;margin:8px 4px 0}
#overview svg{width:100%;height:auto;display:block}
#overview .narrow{display:none}
.fate{background:var(--panel);border-radius:8px;padding:16px 20px;margin-bottom:12px}
.fates{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:8px;
list-style:none;margin:12px 0 0;padding:0}
.fates li{background:var(--paper);border:1px solid var(--edge);border-left:4px solid var(--edge);
border-radius:6px;padding:8px 12px;overflow-wrap:anywhere}
.fates .stalled{border-left-color:var(--gone)}
.fates .stalled b+span{color:var(--gone);font-weight:600}
.fates .went-on{border-left-color:var(--p50)}
.fates .foreign{border-color:var(--bad)}
.fates b{display:block}
.story{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:max-content 1fr}
.story li{display:contents}
.story time{color:var(--faint);text-align:right;padding:5px 14px 5px 0;
border-right:2px solid var(--edge)}
.story span{padding:5px 0 5px 16px;position:relative;overflow-wrap:anywhere}
.story span::before{content:"";position:absolute;left:-6px;top:12px;width:10px;height:10px;
border-radius:50%;background:var(--paper);border:2px solid var(--faint)}
.story .in-outage span::before{background:var(--gone);border-color:var(--gone)}
.chart{margin:0 0 28px;min-width:0;break-inside:avoid}
.chart figcaption{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;margin-bottom:4px}
.chart figcaption b{font-size:16px;overflow-wrap:anywhere}
.chart .panel{min-width:0}
.chart .uplot{display:flex;flex-direction:column-reverse}
.chart .u-legend{font-size:13px;text-align:left;margin:0;padding-left:54px;width:100%}
.chart .u-legend .u-marker{border-radius:2px;width:.8em;height:.8em}
.chart .u-legend th{font-weight:500;cursor:default}
.chart .u-legend .u-value{font-variant-numeric:tabular-nums;min-width:4.2em}
.chart .u-inline tr{margin-right:10px}
.chart .u-series>*{padding:0 3px}
.u-over .outage{position:absolute;top:0;bottom:0;pointer-events:none;
background:repeating-linear-gradient(135deg,var(--gone-line) 0 1.5px,transparent 1.5px 6px),
var(--gone-fill);print-color-adjust:exact;-webkit-print-color-adjust:exact}
.u-over .outage.of-server{background:var(--gone-fill)}
.outage-label{position:absolute;top:2px;left:calc(100% + 5px);white-space:nowrap;font-size:12px;
line-height:1.4;font-weight:600;color:var(--gone);background:var(--paper);border-radius:3px;
padding:0 4px}
.outage-label.before{left:auto;right:calc(100% + 5px)}
.u-hz .u-cursor-x{border-color:var(--faint)}
.u-select{background:color-mix(in srgb,var(--ink) 12%,transparent)}
.table{overflow-x:auto;break-inside:avoid}
table{border-collapse:collapse;width:100%;font-size:14px}
.table table th,.table table td{text-align:left;padding:6px 12px 6px 0;vertical-align:top;
border-bottom:1px solid var(--edge)}
.table table th{font-weight:600;color:var(--faint);white-space:nowrap}
.table table .number{text-align:right;white-space:nowrap}
#checks td:last-child{overflow-wrap:anywhere}
#checks .mark{white-space:nowrap;font-weight:600;color:var(--good)}
#checks .mark.broken{color:var(--bad)}
.name{overflow-wrap:anywhere;min-width:4em}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0}
dl.facts dt{color:var(--faint)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
@media (max-width:719px){main{padding:16px 14px 40px}h1{font-size:22px}
#overview .wide{display:none}#overview .narrow{display:block}
.chart .u-legend{padding-left:0}#verdict,.fate{padding:14px 16px}}
@media print{body{font-size:12px}main{max-width:none;padding:0}h2{break-after:avoid}
#overview,.fate,#verdict{break-inside:avoid}.chart .u-legend{display:none}
#verdict,#limits,.fate,.u-marker{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;
