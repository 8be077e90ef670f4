// Panels that Grafana publishes no component for, drawn in the plainest way that shows the same.
import React from 'react';
import { dateTimeFormat, formattedValueToString, getFieldDisplayName, getValueFormat } from '@grafana/data';

const clock = (at, scene, format = 'HH:mm') => dateTimeFormat(at, { timeZone: scene.timeZone, format });

export const NoData = ({ text }) => <div className="nothing">{text}</div>;

const NAMES_PX = 190;
const AXIS_PX = 22;

export function Timeline({ frames, scene, width, height }) {
  const fields = frames.flatMap((frame) => frame.fields.filter((field) => field.type !== 'time').map((field) => ({ field, frame })));
  const [from, to] = [scene.timeRange.from.valueOf(), scene.timeRange.to.valueOf()];
  const names = Math.min(NAMES_PX, width / 3);
  const x = (at) => names + ((at - from) / (to - from)) * (width - names - 8);
  const row = Math.min(32, (height - AXIS_PX) / fields.length);
  return (
    <svg width={width} height={height} fontSize={11} fill={scene.theme.colors.text.secondary}>
      {fields.map(({ field, frame }, index) => (
        <g key={index} transform={`translate(0 ${index * row})`}>
          <text x={names - 8} y={row / 2 + 4} textAnchor="end">{short(getFieldDisplayName(field, frame, frames), names)}</text>
          {spans(field, frame, to).map((span) => <Span key={span.start} span={span} x={x} height={row - 3} scene={scene} />)}
        </g>
      ))}
      {ticks(from, to).map((at) => <text key={at} x={x(at)} y={fields.length * row + 14} textAnchor="middle">{clock(at, scene)}</text>)}
    </svg>
  );
}

function Span({ span, x, height, scene }) {
  const width = Math.max(x(span.end) - x(span.start), 1);
  const fits = width > 8 * span.text.length;
  return (
    <>
      <rect x={x(span.start)} width={width} height={height} fill={span.color} fillOpacity={0.75} />
      {fits && <text x={x(span.start) + 6} y={height / 2 + 4} fill={scene.theme.colors.getContrastText(span.color)}>{span.text}</text>}
    </>
  );
}

// Neighbours of one look are one span; where no point came for two steps, nothing is known.
function spans(field, frame, end) {
  const times = frame.fields.find((each) => each.type === 'time').values;
  const step = times.length > 1 ? Math.min(...times.slice(1).map((at, index) => at - times[index])) : 60_000;
  const found = [];
  field.values.forEach((value, index) => {
    if (value == null) return;
    const { text, color = '#808080' } = field.display(value);
    const until = Math.min(times[index] + step, end);
    const last = found.at(-1);
    if (last && last.text === text && last.color === color && times[index] - last.end <= step) last.end = until;
    else found.push({ start: times[index], end: until, text, color });
  });
  return found;
}

function ticks(from, to) {
  const step = [1, 5, 10, 15, 30, 60, 180, 360, 720, 1440].map((minutes) => minutes * 60_000).find((each) => (to - from) / each <= 8) ?? 86_400_000;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, index) => first + index * step);
}

const short = (text, px) => (text.length > px / 6.5 ? `${text.slice(0, px / 6.5 - 1)}…` : text);

// Prometheus' buckets hold all that is below their limit; a cell has what is between two limits.
export function Heatmap({ panel, frames, scene, width, height }) {
  const limit = (frame) => Number(frame.fields[1].labels.le.replace('+Inf', 'Infinity'));
  const rows = [...frames].sort((one, other) => limit(one) - limit(other));
  const counts = rows.map((frame) => new Map(frame.fields[0].values.map((at, index) => [at, frame.fields[1].values[index]])));
  const cells = counts.flatMap((row, y) => [...row].map(([at, count]) => ({ at, y, count: count - (counts[y - 1]?.get(at) ?? 0) })));
  const most = Math.max(...cells.map((cell) => cell.count), 1e-9);
  const [from, to] = [scene.timeRange.from.valueOf(), scene.timeRange.to.valueOf()];
  const names = 60;
  const x = (at) => names + ((at - from) / (to - from)) * (width - names - 8);
  const row = (height - AXIS_PX) / rows.length;
  const step = rows[0].fields[0].config.interval;
  const format = getValueFormat(panel.options?.yAxis?.unit ?? 'short');
  const name = (value) => (value === Infinity ? 'more' : formattedValueToString(format(value)));
  return (
    <svg width={width} height={height} fontSize={11} fill={scene.theme.colors.text.secondary}>
      {rows.map((frame, y) => <text key={y} x={names - 6} y={height - AXIS_PX - y * row - row / 2 + 4} textAnchor="end">{name(limit(frame))}</text>)}
      {cells.filter((cell) => cell.count > 0).map((cell) => (
        <rect
          key={`${cell.at} ${cell.y}`}
          x={x(cell.at - step)}
          y={height - AXIS_PX - (cell.y + 1) * row}
          width={Math.max(x(cell.at) - x(cell.at - step) - 1, 1)}
          height={row - 1}
          fill={`hsl(${220 - 165 * (cell.count / most)} 60% ${30 + 30 * (cell.count / most)}%)`}
        />
      ))}
      {ticks(from, to).map((at) => <text key={at} x={x(at)} y={height - 6} textAnchor="middle">{clock(at, scene)}</text>)}
    </svg>
  );
}

export function AlertList({ scene }) {
  if (!scene.alerts.length) return <NoData text="No alerts" />;
  return (
    <div className="alerts">
      {scene.alerts.map(({ labels, annotations, state, activeAt }, index) => (
        <div key={index} className={`alert ${state}`}>
          <b>{labels.alertname}</b> <i>{state} since {clock(Date.parse(activeAt), scene)}</i>
          <p>{annotations.summary}</p>
        </div>
      ))}
    </div>
  );
}

export function Logs({ frames, scene }) {
  const [times, lines] = ['Time', 'Line'].map((name) => frames[0].fields.find((field) => field.name === name).values);
  return (
    <div className="logs">
      {lines.map((line, index) => <div key={index}><i>{clock(times[index], scene, 'HH:mm:ss')}</i> {line}</div>)}
    </div>
  );
}
