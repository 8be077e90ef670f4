// One component for each type of panel, around Grafana's own components where they are published.
import React from 'react';
import {
  VizOrientation,
  applyNullInsertThreshold,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  renderTextPanelMarkdown,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { configuration } from './fields.js';
import { AlertList, Heatmap, Logs, NoData, Timeline } from './plain.jsx';

export function Panel({ panel, frames, scene, width, height }) {
  const Type = TYPES[panel.type];
  if (!Type) return <NoData text={`Not drawn here: ${panel.type}`} />;
  const empty = !frames.some((frame) => frame.length > 0);
  if (empty && panel.type !== 'text' && panel.type !== 'alertlist') {
    return <NoData text={panel.fieldConfig?.defaults?.noValue ?? 'No data'} />;
  }
  return <Type panel={panel} frames={frames} scene={scene} width={width} height={height} />;
}

function Graph({ panel, frames, scene, width, height }) {
  const legend = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [], ...panel.options?.legend };
  const marks = (builder) => {
    builder.addHook('draw', (plot) => scene.annotations.forEach((each) => mark(plot, each)));
    return null;
  };
  return (
    <TimeSeries
      frames={frames.filter((frame) => frame.length > 0).map(withGaps)}
      width={width}
      height={height}
      timeRange={scene.timeRange}
      timeZone={scene.timeZone}
      legend={legend}
    >
      {marks}
    </TimeSeries>
  );
}

// The component does so to the first frame alone.
const withGaps = (frame) => applyNullInsertThreshold({ frame });

function mark(plot, { times, color }) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.setLineDash([4, 4]);
  ctx.globalAlpha = 0.6;
  for (const at of times) {
    const x = Math.round(plot.valToPos(at, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

const displayValues = (panel, frames, scene, sparkline) =>
  getFieldDisplayValues({
    data: frames,
    fieldConfig: configuration(panel),
    reduceOptions: { calcs: ['lastNotNull'], values: false, fields: '', ...panel.options?.reduceOptions },
    replaceVariables: scene.replace,
    theme: scene.theme,
    timeZone: scene.timeZone,
    sparkline,
  });

function Repeated({ panel, frames, scene, width, height, sparkline, children, ...rest }) {
  const values = displayValues(panel, frames, scene, sparkline);
  return (
    <VizRepeater
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={values}
      renderCounter={0}
      width={width}
      height={height}
      orientation={panel.options?.orientation || VizOrientation.Auto}
      renderValue={children}
      {...rest}
    />
  );
}

function Stat({ panel, scene, ...rest }) {
  const { graphMode = 'area', colorMode = 'value', justifyMode = 'auto', textMode = 'auto', text, wideLayout = true } = panel.options ?? {};
  return (
    <Repeated panel={panel} scene={scene} sparkline={graphMode !== 'none'} autoGrid {...rest}>
      {({ value, count, ...size }) => (
        <BigValue
          {...size}
          value={value.display}
          sparkline={value.sparkline && { ...value.sparkline, timeRange: scene.timeRange }}
          count={count}
          graphMode={graphMode}
          colorMode={colorMode}
          justifyMode={justifyMode}
          textMode={textMode}
          text={text}
          disableWideLayout={!wideLayout}
          theme={scene.theme}
        />
      )}
    </Repeated>
  );
}

function Bars({ panel, scene, ...rest }) {
  const { displayMode = 'gradient', valueMode = 'color', showUnfilled = true, namePlacement = 'auto', text } = panel.options ?? {};
  return (
    <Repeated panel={panel} scene={scene} itemSpacing={6} minVizHeight={16} maxVizHeight={60} {...rest}>
      {({ value, orientation, count, ...size }) => (
        <BarGauge
          {...size}
          orientation={orientation}
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          displayMode={displayMode}
          valueDisplayMode={valueMode}
          namePlacement={namePlacement}
          showUnfilled={showUnfilled}
          text={text}
          theme={scene.theme}
        />
      )}
    </Repeated>
  );
}

function Table({ panel, frames, scene, width, height }) {
  const { cellHeight = 'sm', showHeader = true, sortBy, frameIndex = 0 } = panel.options ?? {};
  return (
    <TableNG
      data={frames[frameIndex] ?? frames[0]}
      width={width}
      height={height}
      noHeader={!showHeader}
      sortBy={sortBy}
      cellHeight={cellHeight}
      timeRange={scene.timeRange}
      fieldConfig={configuration(panel)}
      enableVirtualization={false}
    />
  );
}

function Text({ panel, scene }) {
  const { content = '', mode = 'markdown' } = panel.options ?? {};
  const text = scene.replace(content);
  const html = mode === 'html' ? text : renderTextPanelMarkdown(text);
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: html }} />;
}

const TYPES = {
  timeseries: Graph,
  stat: Stat,
  gauge: Bars,
  bargauge: Bars,
  table: Table,
  text: Text,
  heatmap: Heatmap,
  'state-timeline': Timeline,
  'status-history': Timeline,
  alertlist: AlertList,
  logs: Logs,
};

