// A panel's transformations, field configuration and overrides, applied by @grafana/data.
import {
  FieldConfigOptionsRegistry,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

const STANDARD = [
  'unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'color', 'thresholds', 'mappings', 'links',
  'filterable', 'description', 'fieldMinMax',
];

// What the panels of Grafana start from; the plugins that say so are not published as packages.
const CUSTOM = {
  timeseries: {
    drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none',
    spanNulls: false, showPoints: 'auto', pointSize: 5, stacking: { mode: 'none', group: 'A' },
    axisPlacement: 'auto', axisColorMode: 'text', axisBorderShow: false, axisCenteredZero: false,
    axisLabel: '', scaleDistribution: { type: 'linear' }, barAlignment: 0, barWidthFactor: 0.6,
    thresholdsStyle: { mode: 'off' }, hideFrom: { tooltip: false, viz: false, legend: false },
  },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false, filterable: false },
};

// Some stand there twice, also under their old names.
const TRANSFORMERS = new Map(Object.values(standardTransformers).map((each) => [each.id, each]));

standardTransformersRegistry.setInit(() =>
  [...TRANSFORMERS].map(([id, each]) => ({ id, name: each.name, transformation: () => Promise.resolve(each) }))
);

export async function prepared(panel, frames, { theme, timeZone, replace }) {
  const transformations = (panel.transformations ?? []).filter((each) => !each.disabled);
  const data = await lastValueFrom(transformDataFrame(transformations, frames, { interpolate: replace }));
  const fieldConfig = configuration(panel);
  const shown = applyFieldOverrides({
    data,
    fieldConfig,
    fieldConfigRegistry: registry(fieldConfig),
    replaceVariables: replace,
    theme,
    timeZone,
  });
  cacheFieldDisplayNames(shown);
  return shown;
}

export function configuration(panel) {
  const given = structuredClone(panel.fieldConfig ?? {});
  const defaults = { thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }, { color: 'red', value: 80 }] }, mappings: [], ...given.defaults };
  defaults.thresholds = lowest(defaults.thresholds);
  defaults.color ??= { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  defaults.custom = { ...CUSTOM[panel.type], ...given.defaults?.custom };
  const overrides = (given.overrides ?? []).map((rule) => ({
    ...rule,
    properties: rule.properties.map((each) => (each.id === 'thresholds' ? { ...each, value: lowest(each.value) } : each)),
  }));
  return { defaults, overrides };
}

// JSON has no minus infinity: Grafana writes null for it.
const lowest = (thresholds) => ({
  ...thresholds,
  steps: thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity })),
});

function registry({ defaults, overrides }) {
  const named = overrides.flatMap((rule) => rule.properties.map((each) => each.id)).filter((id) => id.startsWith('custom.'));
  const custom = new Set([...Object.keys(defaults.custom), ...named.map((id) => id.slice('custom.'.length))]);
  const item = (id, path, isCustom) => ({ id, path, name: id, isCustom, process: (value) => value, shouldApply: () => true });
  return new FieldConfigOptionsRegistry(() => [
    ...STANDARD.map((id) => item(id, id, false)),
    ...[...custom].map((path) => item(`custom.${path}`, path, true)),
  ]);
}

