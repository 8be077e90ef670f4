// Answers of Prometheus, Loki and Jaeger as data frames, in the form in which Grafana's data
// sources hand them to panels.
import { FieldType, toDataFrame } from '@grafana/data';

export function framesOf(answers) {
  return answers.flatMap((answer) => frames(answer, answers.length));
}

function frames(answer, many) {
  if (answer.source === 'loki' && answer.result.some((each) => each.stream)) return [lines(answer)];
  if (answer.source === 'jaeger') return [traces(answer)];
  if (answer.source === 'loki' && answer.target.queryType === 'instant') return [table(answer, `Value #${answer.target.refId}`)];
  if (answer.target.format === 'table') return [table(answer, many > 1 ? `Value #${answer.target.refId}` : 'Value')];
  return answer.result.map((series) => oneSeries(answer, series));
}

const points = (series) => series.values ?? [series.value];
const times = (series) => points(series).map(([at]) => at * 1000);
const numbers = (series) => points(series).map(([, value]) => number(value));
const number = (text) => ({ '+Inf': Infinity, '-Inf': -Infinity })[text] ?? Number(text);

function oneSeries(answer, series) {
  const { __name__: name, ...labels } = series.metric;
  const config = { displayNameFromDS: legend(answer.target, series.metric, labels, answer.text) };
  return toDataFrame({
    refId: answer.target.refId,
    meta: { type: series.values ? 'timeseries-multi' : 'numeric-multi' },
    fields: [
      { name: 'Time', type: FieldType.time, values: times(series), config: { interval: answer.step * 1000 } },
      { name: 'Value', type: FieldType.number, values: numbers(series), labels, config },
    ],
  });
}

function legend(target, metric, labels, text) {
  const format = target.legendFormat;
  // Grafana then tells series apart by the labels in which they differ.
  if (format === '__auto') return Object.keys(labels).length ? undefined : text;
  // As the data source does, which leaves nothing for a label that is not there.
  if (format) return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, key) => metric[key] ?? '');
  const { __name__: name = '', ...rest } = metric;
  const shown = Object.entries(rest).map(([key, value]) => `${key}="${value}"`).join(', ');
  return `${name}{${shown}}`;
}

function table(answer, value) {
  const rows = answer.result.flatMap((series) => points(series).map(([at, value]) => ({ at, value, metric: series.metric })));
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].sort();
  return toDataFrame({
    refId: answer.target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map((row) => row.at * 1000) },
      ...keys.map((key) => ({ name: key, type: FieldType.string, values: rows.map((row) => row.metric[key] ?? '') })),
      { name: value, type: FieldType.number, values: rows.map((row) => number(row.value)) },
    ],
  });
}

function lines(answer) {
  const all = answer.result.flatMap(({ stream, values }) => values.map(([at, line]) => ({ at: at / 1e6, line, stream })));
  all.sort((one, other) => other.at - one.at);
  return toDataFrame({
    refId: answer.target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: all.map((each) => each.at) },
      { name: 'Line', type: FieldType.string, values: all.map((each) => each.line) },
      { name: 'labels', type: FieldType.other, values: all.map((each) => each.stream) },
    ],
  });
}

function traces(answer) {
  const first = answer.result.map((trace) => trace.spans.reduce((one, other) => (other.startTime < one.startTime ? other : one)));
  const column = (name, type, of, config = {}) => ({ name, type, config, values: first.map(of) });
  return toDataFrame({
    refId: answer.target.refId,
    fields: [
      column('Trace ID', FieldType.string, (span) => span.traceID),
      column('Trace name', FieldType.string, (span) => span.operationName),
      column('Start time', FieldType.time, (span) => span.startTime / 1000),
      column('Duration', FieldType.number, (span) => span.duration, { unit: 'µs' }),
    ],
  });
}
