// Analyses queries with Microsoft's own parser, against the columns in tables.json.
//   node check.cjs < queries.json       a list of {"name", "query"}
// Prints "name: line:column CODE message" for each problem and exits 1 if there is any.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const PACKAGE = '@kusto/language-service-next';
const REFUSED = /\b(bag_unpack|pivot|narrow)\s*\(|\bAggregatedValue\b/; // by log alert rules, though valid KQL

function loadParser() {
  const folder = path.dirname(require.resolve(`${PACKAGE}/package.json`, { paths: [process.cwd()] }));
  for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) { // written for browsers: they set globals
    vm.runInThisContext(fs.readFileSync(path.join(folder, file), 'utf8'), { filename: file });
  }
  return globalThis.Kusto.Language;
}

function workspaceOf(kusto) {
  const tables = JSON.parse(fs.readFileSync(path.join(__dirname, 'tables.json'), 'utf8'));
  const symbols = Object.entries(tables).map(([name, columns]) => {
    const schema = Object.entries(columns).map(([column, type]) => `['${column}']: ${type}`);
    return new kusto.Symbols.TableSymbol.$ctor7(name, `(${schema.join(', ')})`, null);
  });
  return kusto.GlobalState.Default.WithDatabase(new kusto.Symbols.DatabaseSymbol.ctor('workspace', symbols));
}

// The parser does not read regular expressions. Kusto's are RE2, which JavaScript's are close enough to.
function* regexProblems(query) {
  for (const call of query.matchAll(/\bextract\(\s*"((?:[^"\\]|\\.)*)"\s*,\s*(\d+)/g)) {
    try {
      const groups = new RegExp(`${JSON.parse(`"${call[1]}"`)}|`).exec('').length - 1;
      if (Number(call[2]) > groups) yield { at: call.index, text: `REGEX group ${call[2]} of ${groups}` };
    } catch (error) {
      yield { at: call.index, text: `REGEX ${error.message}` };
    }
  }
}

function* problemsIn(kusto, workspace, query) {
  const found = kusto.KustoCode.ParseAndAnalyze(query, workspace).GetDiagnostics();
  for (let i = 0; i < found.Count; i += 1) {
    const { Start, Code, Message } = found.getItem(i);
    yield { at: Start, text: `${Code} ${Message}` };
  }
  yield* regexProblems(query);
  const refused = REFUSED.exec(query);
  if (refused) yield { at: refused.index, text: `ALERT log alert rules refuse ${refused[0]}` };
}

function positionIn(text, offset) {
  const before = text.slice(0, offset).split('\n');
  return `${before.length}:${before[before.length - 1].length + 1}`;
}

const kusto = loadParser();
const workspace = workspaceOf(kusto);
for (const { name, query } of JSON.parse(fs.readFileSync(0, 'utf8'))) {
  for (const { at, text } of problemsIn(kusto, workspace, query)) {
    process.exitCode = 1;
    console.log(`${name}: ${positionIn(query, at)} ${text}`);
  }
}
