// A dashboard as Grafana lays it out: 24 columns, rows of 30 px and 8 px between, or one column on a phone.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { ThemeContext, createTheme, dateTimeForTimeZone } from '@grafana/data';
import { ErrorBoundary, GlobalStyles, PanelChrome } from '@grafana/ui';
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import '@fontsource/roboto-mono/latin-400.css';
import 'uplot/dist/uPlot.min.css';
import '@grafana/react-data-grid/lib/styles.css';
import './page.css';
import { framesOf } from './frames.js';
import { prepared } from './fields.js';
import { Panel } from './panels.jsx';

const ROW_PX = 30;
const GAP_PX = 8;
const PHONE_PX = 769;
const MARGIN_PX = 16;

async function main() {
  const recorded = await (await fetch('board.json')).json();
  const scene = sceneOf(recorded);
  const drawn = await Promise.all(recorded.board.panels.map((panel) => withFrames(panel, recorded, scene)));
  await document.fonts.ready;
  createRoot(document.getElementById('page')).render(
    <ThemeContext.Provider value={scene.theme}>
      <GlobalStyles />
      <Dashboard recorded={recorded} scene={scene} drawn={drawn} />
    </ThemeContext.Provider>
  );
  // Tables measure themselves, and are drawn again.
  setTimeout(() => { document.title = `ready ${document.getElementById('page').scrollHeight}`; }, 1500);
}

function sceneOf({ window: { start, end }, choice, annotations, alerts }) {
  const timeZone = 'utc';
  const [from, to] = [start, end].map((at) => dateTimeForTimeZone(timeZone, at * 1000));
  const replace = (text) => String(text).replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (whole, one, other) => choice[one ?? other] ?? whole);
  return {
    theme: createTheme({ colors: { mode: 'dark' } }),
    timeZone,
    timeRange: { from, to, raw: { from, to } },
    replace,
    alerts,
    annotations: annotations.map((each) => ({ color: each.color, times: [...new Set(each.result.flatMap((series) => starts(series, each)))] })),
  };
}

// Points that follow each other are one event, which is marked where it begins.
function starts({ values = [] }, annotation) {
  if (annotation.value_is_time) return values.map(([, value]) => Number(value));
  const times = values.map(([at]) => at);
  return times.filter((at, index) => index === 0 || at - times[index - 1] > annotation.step * 1.5).map((at) => at * 1000);
}

async function withFrames(panel, recorded, scene) {
  const answers = recorded.answers[panel.id] ?? [];
  return { panel, frames: await prepared(panel, framesOf(answers), scene) };
}

function Dashboard({ recorded, scene, drawn }) {
  const width = window.innerWidth - 2 * MARGIN_PX;
  const places = layout(drawn.map(({ panel }) => panel), width);
  return (
    <div style={{ padding: MARGIN_PX }}>
      <h1>{recorded.board.title}</h1>
      <Variables recorded={recorded} />
      <div style={{ position: 'relative', height: Math.max(...places.map(({ y, height }) => y + height)) }}>
        {drawn.map((each, index) => <Placed key={index} {...each} place={places[index]} scene={scene} />)}
      </div>
    </div>
  );
}

const Variables = ({ recorded: { board, choice } }) => (
  <div className="variables">
    {board.templating.list
      .filter((each) => each.hide !== 2 && each.hide !== 'hideVariable')
      .map((each) => <span key={each.name}><b>{each.label || each.name}</b>{choice[each.name]}</span>)}
  </div>
);

function layout(panels, width) {
  if (width >= PHONE_PX) return panels.map(({ gridPos }) => placed(gridPos, width));
  let y = 0;
  return panels.map(({ gridPos, type }) => {
    const height = (type === 'row' ? 1 : gridPos.h) * (ROW_PX + GAP_PX) - GAP_PX;
    y += height + GAP_PX;
    return { x: 0, y: y - height - GAP_PX, width, height };
  });
}

function placed({ x, y, w, h }, width) {
  const column = (width + GAP_PX) / 24;
  return { x: x * column, y: y * (ROW_PX + GAP_PX), width: w * column - GAP_PX, height: h * (ROW_PX + GAP_PX) - GAP_PX };
}

function headingOf({ title, panels = [] }, scene) {
  const folded = panels.length ? ` (${panels.length} panels, folded)` : '';
  return scene.replace(title) + folded;
}

function Placed({ panel, frames, place: { x, y, width, height }, scene }) {
  const style = { position: 'absolute', left: x, top: y, width, height };
  if (panel.type === 'row') return <h2 style={style}>{headingOf(panel, scene)}</h2>;
  return (
    <div style={style}>
      <PanelChrome
        width={width}
        height={height}
        title={scene.replace(panel.title ?? '')}
        description={panel.description}
        displayMode={panel.transparent ? 'transparent' : 'default'}
        padding={panel.type === 'table' ? 'none' : 'md'}
      >
        {(innerWidth, innerHeight) => (
          <ErrorBoundary>
            {({ error }) => (error ? <pre>{String(error.stack)}</pre> : <Panel panel={panel} frames={frames} scene={scene} width={innerWidth} height={innerHeight} />)}
          </ErrorBoundary>
        )}
      </PanelChrome>
    </div>
  );
}

main().catch((error) => {
  document.body.innerText = String(error.stack);
  document.title = 'failed';
});
