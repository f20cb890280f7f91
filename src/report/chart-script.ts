/**
 * The script of the HTML report: draws each guest's charts from the inlined data with uPlot.
 *
 * It is text and not a module, because it runs in the reader's browser from a file, where modules
 * may not be loaded. It is kept to what only a browser can do: sizes, colours, cursors, zoom. The
 * numbers it draws are prepared by `chart-data.ts`.
 *
 * One time axis. The cursors of all charts move together through uPlot's sync; a zoom in one is
 * carried to all by `setScale`, guarded by `zooming`, because uPlot leaves a reset out of its
 * sync. Outages are elements over the plot, not paint, so that they can be found, styled and
 * tested; they are placed again after each draw. Colours of lines are read from the style sheet at
 * each draw, so that a change of the reader's scheme needs a redraw and nothing else.
 */

/** Units as `format-units.ts` prints them; a test holds the two together. */
export const UNITS_SCRIPT: string = `
function decimal(value){
  var size=Math.abs(value);
  var places=size>=99.95?0:size>=9.995?1:size>=0.9995||size===0?2:
    Math.min(6,2-Math.floor(Math.log10(size)));
  return String(Number(value.toFixed(places)));
}
function scaled(value,units){
  for(var i=0;;i++){
    var inUnit=Number(decimal(value/units[i][1]));
    if(i===units.length-1||inUnit<units[i][2])return decimal(inUnit)+units[i][0];
    value=Math.max(value,units[i][1]*units[i][2]);
  }
}
function duration(ns){
  ns=Math.round(ns);
  return ns===0?'0s':scaled(ns,[['ns',1,1e3],['us',1e3,1e3],['ms',1e6,1e3],['s',1e9,120],
    ['min',60e9,120],['h',3600e9,0]]);
}
function rate(value){
  return scaled(value,[['',1,1e3],['k',1e3,1e3],['m',1e6,1e3],['g',1e9,0]])+'/s';
}
`;

export const CHART_SCRIPT: string = `(function(){
'use strict';
${UNITS_SCRIPT}
var data=JSON.parse(document.getElementById('series').textContent);
var charts=[];
var zooming=false;
function color(name){
  return getComputedStyle(document.documentElement).getPropertyValue('--'+name).trim();
}
function seconds(value){return value==null?'--':value.toFixed(3)+'s'}
function shown(format){return function(u,value){return value==null?'--':format(value)}}
function line(label,name,format,more){
  return Object.assign({label:label,colorName:name,width:1.6,points:{show:false},
    value:shown(format),
    stroke:function(){return color(name)}},more);
}
function axis(more){
  return Object.assign({font:'12px system-ui,sans-serif',stroke:function(){return color('faint')},
    grid:{stroke:function(){return color('edge')},width:1},
    ticks:{stroke:function(){return color('edge')},width:1,size:4}},more);
}
function placeOutages(u,outages,named){
  u.over.querySelectorAll('.outage').forEach(function(old){old.remove()});
  var edge=0;
  outages.forEach(function(outage){
    var from=u.valToPos(outage.from,'x');
    var to=u.valToPos(outage.to,'x');
    var width=u.over.clientWidth;
    if(to<0||from>width)return;
    var left=Math.max(0,from);
    var band=document.createElement('div');
    band.className='outage of-'+outage.of;
    band.title=outage.text;
    band.style.left=left+'px';
    band.style.width=Math.max(4,Math.min(width,to)-left)+'px';
    u.over.appendChild(band);
    if(!named)return;
    var label=document.createElement('span');
    label.className='outage-label';
    label.textContent=outage.text;
    band.appendChild(label);
    var right=left+band.offsetWidth;
    if(right+5+label.offsetWidth<=width&&right>=edge){
      edge=right+5+label.offsetWidth;
    }else if(left-5-label.offsetWidth>=edge){
      label.classList.add('before');
      edge=right;
    }else{
      label.remove();
    }
  });
}
function zoomAll(u,key){
  if(key!=='x'||zooming)return;
  zooming=true;
  charts.forEach(function(other){
    if(other===u)return;
    var scale=u.scales.x;
    other.setScale('x',{min:scale.min,max:scale.max});
  });
  zooming=false;
}
function powerOfTen(value){
  var log=Math.log10(value);
  return Math.abs(log-Math.round(log))<1e-6;
}
function decades(u,all){return all.map(function(ns){return powerOfTen(ns)?ns:null})}
function make(panel,series,values,axes,scales,guest,named,height){
  var colors=series.slice(1).map(function(one){return one.colorName});
  var options={width:panel.clientWidth,height:height,padding:[8,12,0,0],series:series,
    axes:axes,scales:scales,
    legend:{markers:{width:0,fill:function(u,i){return 'var(--'+colors[i-1]+')'}}},
    cursor:{y:false,drag:{x:true,y:false},sync:{key:'run',scales:['x',null]},
      points:{size:6}},
    hooks:{draw:[function(u){placeOutages(u,guest.outages,named)}],setScale:[zoomAll]}};
  var chart=new uPlot(options,values,panel);
  chart.panelElement=panel;
  charts.push(chart);
  new ResizeObserver(function(){fit(chart)}).observe(panel);
}
function fit(chart){
  var width=chart.panelElement.clientWidth;
  if(width>0&&width!==chart.width)chart.setSize({width:width,height:chart.height});
}
function drawGuest(guest,at){
  var figure=document.querySelectorAll('#charts .chart')[at];
  var panels=figure.querySelectorAll('.panel');
  if(panels.length===0)return;
  var steps=uPlot.paths.stepped({align:1});
  var time={label:'time',value:shown(seconds)};
  make(panels[0],[time,line('requests a second','rate',rate,{paths:steps,
      fill:function(){return color('rate-fill')}})],
    [guest.at,guest.rate],
    [axis({values:function(u,all){return all.map(function(){return ''})},size:8}),
     axis({size:58,values:function(u,all){return all.map(rate)}})],
    {x:{time:false},y:{range:[0,guest.ratePeak*1.15||1]}},guest,true,150);
  make(panels[1],[time,
      line('latency p50','p50',duration,{paths:steps}),
      line('p99','p99',duration,{paths:steps,width:2}),
      line('max','max',duration,{paths:function(){return null},width:0,
        points:{show:true,size:3.5,width:0,space:0,fill:function(){return color('max')}}})],
    [guest.at,guest.p50,guest.p99,guest.max],
    [axis({values:function(u,all){return all.map(function(s){return duration(s*1e9)})},size:30}),
     axis({size:58,filter:decades,
       grid:{stroke:function(){return color('edge')},width:1,filter:decades},
       ticks:{stroke:function(){return color('edge')},width:1,size:4,filter:decades},
       values:function(u,all){return all.map(function(ns){return ns==null?'':duration(ns)})}})],
    {x:{time:false},y:{distr:3,range:data.latencyRange}},guest,false,190);
}
function redraw(){charts.forEach(function(chart){fit(chart);chart.redraw(true,true)})}
data.guests.forEach(drawGuest);
matchMedia('(prefers-color-scheme:dark)').addEventListener('change',redraw);
addEventListener('beforeprint',function(){
  document.documentElement.setAttribute('data-print','');
  charts.forEach(function(chart){chart.setSize({width:660,height:chart.height})});
});
addEventListener('afterprint',function(){
  document.documentElement.removeAttribute('data-print');
  redraw();
});
document.documentElement.setAttribute('data-charts',String(charts.length));
})();`;
