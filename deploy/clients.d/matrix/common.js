// What the Node programs of the driver matrix share: the cells' texts, and one JSON line for each cell.
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const CELLS = JSON.parse(fs.readFileSync(path.join(__dirname, 'cells.json'), 'utf8'));
const URL_GIVEN = process.argv[2];
const BIG = 'x漢'.repeat(CELLS.big / 4);

function parts() {
  const url = new URL(URL_GIVEN);
  const root = url.searchParams.get('sslrootcert');
  return {
    host: url.hostname, port: Number(url.port), user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password), database: url.pathname.slice(1),
    ssl: root ? { ca: fs.readFileSync(root, 'utf8'), rejectUnauthorized: true } : false,
  };
}

const FIELDS = ['severity', 'code', 'message', 'detail', 'hint', 'position', 'schema', 'schema_name', 'table', 'table_name',
  'column', 'column_name', 'dataType', 'type_name', 'constraint', 'constraint_name'];

function failure(error) {
  const found = { error: error.constructor.name };
  for (const field of FIELDS) if (error[field] !== undefined && error[field] !== '') found[field] = String(error[field]);
  return found;
}

// A value in words that are the same in every run.
function textOf(value) {
  if (value === undefined) return 'undefined';
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : `number ${value}`;
  if (typeof value === 'bigint') return `bigint ${value}`;
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (value instanceof Date) return `Date ${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()}`;
  if (Array.isArray(value)) return [...value].map(textOf);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, textOf(v)]));
}

const digest = (text) => `${text.length} ${crypto.createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
const put = (group, cell, result) => console.log(JSON.stringify({ group, cell, result }));
const unsupported = (group, cell, why = 'not supported by the driver') => console.log(JSON.stringify({ group, cell, unsupported: why }));
const attempt = async (f) => {
  try {
    return textOf(await f());
  } catch (error) {
    return failure(error);
  }
};
const check = async (group, cell, f) => put(group, cell, await attempt(f));
const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

// A package's version, from its own file: some packages do not export it.
const version = (name) => {
  const file = process.env.NODE_PATH.split(':').map((d) => path.join(d, name, 'package.json')).find((f) => fs.existsSync(f));
  return `${name} ${JSON.parse(fs.readFileSync(file, 'utf8')).version}`;
};

module.exports = { BIG, CELLS, URL_GIVEN, attempt, check, digest, failure, parts, put, unsupported, version, wait };
