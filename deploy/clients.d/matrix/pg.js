// The driver matrix: node-postgres with pg-copy-streams, pg-cursor and pg-query-stream. Argument: a libpq URL.
const { pipeline } = require('stream/promises');
const { Readable, Writable } = require('stream');
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const copyFrom = require('pg-copy-streams').from;
const copyTo = require('pg-copy-streams').to;
const { BIG, CELLS, attempt, check, digest, failure, parts, put, unsupported, version, wait } = require('./common.js');

const rows = async (client, text, values, more = {}) => {
  const done = await client.query({ text, values, rowMode: 'array', ...more });
  return Array.isArray(done) ? done.map((d) => [d.command, d.rows]) : done.fields.length ? done.rows : `${done.command} ${done.rowCount}`;
};

async function connect() {
  const client = new Client(parts());
  await client.connect();
  for (const text of CELLS.setup) await client.query(text);
  return client;
}

async function types(client) {
  for (const [name, literals] of Object.entries(CELLS.types)) {
    for (const binary of [false, true]) {
      await check(`results as ${binary ? 'binary' : 'text'}`, name, async () => {
        const found = [];
        for (const literal of [...literals, null]) found.push(await attempt(() => rows(client, `SELECT ($1::text)::${name}`, [literal], { binary })));
        return found;
      });
    }
    await check('parameters as text', name, async () => {
      const found = [];
      for (const literal of [...literals, null]) {
        found.push(await attempt(async () => {
          const [[value]] = await rows(client, `SELECT ($1::text)::${name}`, [literal]);
          return rows(client, `SELECT ($1::${name})::text`, [value]);
        }));
      }
      return found;
    });
  }
  await check('parameters as binary', 'bytea', async () => rows(client, 'SELECT $1::bytea', [Buffer.from([0, 255, 39, 92])]));
  await check('large values', '5 MB of text', async () => {
    const [[back, length]] = await rows(client, 'SELECT $1::text, octet_length($1)', [BIG]);
    return [digest(back), length, back === BIG];
  });
  const many = Array.from({ length: CELLS.parameters }, (_, n) => n);
  await check('large values', '10,000 parameters', () => rows(client, `SELECT sum(x) FROM unnest(ARRAY[${many.map((n) => `$${n + 1}`)}]::int[]) x`, many));
}

async function prepared(client) {
  const statement = (n) => ({ name: 'kept', text: 'SELECT name, $1::int + size FROM m WHERE id = $2', values: [n, 1 + (n % 2)], rowMode: 'array' });
  await check('prepared statements', 'the same many times', async () => {
    const found = [];
    for (let n = 0; n < CELLS.many; n += 1) found.push((await client.query(statement(n))).rows);
    return found;
  });
  await check('prepared statements', 'a name used for another text', () => client.query({ name: 'kept', text: 'SELECT 1' }));
  await check('prepared statements', 'DEALLOCATE ALL in between', async () => {
    await client.query('DEALLOCATE ALL');
    return [await attempt(() => client.query(statement(1))), await attempt(() => rows(client, 'SELECT 1'))];
  });
  await check('prepared statements', 'a table that changes', async () => {
    await client.query('CREATE TEMP TABLE c (a int)');
    const select = () => attempt(() => rows(client, 'SELECT * FROM c', [], { name: 'changes' }));
    const before = await select();
    await client.query('ALTER TABLE c ADD COLUMN b int DEFAULT 5');
    return [before, await select(), await select()];
  });
}

async function pipelines(client) {
  await check('pipelines', '40 statements in the queue', async () => (
    Promise.all(Array.from({ length: 40 }, (_, n) => rows(client, 'SELECT $1::int + 1', [n])))));
  await check('pipelines', 'an error in the middle', async () => (
    Promise.all([1, 2, 0, 4, 5].map((n) => attempt(() => rows(client, 'SELECT 10 / $1::int', [n]))))));
  await check('pipelines', '60 statements over a pool', async () => {
    const pool = new Pool({ ...parts(), max: 4 });
    const found = await Promise.all(Array.from({ length: 60 }, (_, n) => rows(pool, 'SELECT $1::int + 1', [n])));
    await pool.end();
    return found;
  });
}

async function copies(client) {
  await client.query('CREATE TEMP TABLE k (a int, b text, c float8)');
  const lines = Array.from({ length: 20000 }, (_, n) => `${n}\t${n % 3 ? 'x漢' : '\\N'}\t${n / 4}\n`);
  const into = async (option, source) => {
    const stream = client.query(copyFrom(`COPY k FROM STDIN ${option}`));
    await pipeline(Readable.from(source), stream);
    return stream.rowCount;
  };
  const out = async (option) => {
    const found = [];
    const sink = new Writable({ write(part, _encoding, done) { found.push(Buffer.from(part)); done(); } });
    await pipeline(client.query(copyTo(`COPY k TO STDOUT ${option}`)), sink);
    return Buffer.concat(found);
  };
  for (const [name, option] of Object.entries({ text: '', CSV: '(FORMAT csv, HEADER)', binary: '(FORMAT binary)' })) {
    await check('COPY', `in and out, ${name}`, async () => {
      const found = [await into('', lines)];
      const data = await out(option);
      await client.query('DELETE FROM k WHERE a >= 0');
      found.push(digest(data.toString('hex')), await into(option, [data.subarray(0, 70001), data.subarray(70001)]));
      found.push(await rows(client, 'SELECT count(*), sum(a), sum(c), count(b) FROM k'));
      await client.query('DELETE FROM k WHERE a >= 0');
      return found;
    });
  }
  const count = () => rows(client, 'SELECT count(*) FROM k');
  await check('COPY', 'a bad row', async () => [await attempt(() => into('', ['1\ta\t1\nx\tb\t2\n'])), await count()]);
  await check('COPY', 'given up by the client', async () => {
    const stream = client.query(copyFrom('COPY k FROM STDIN'));
    const ended = new Promise((done) => { stream.on('error', (error) => done(failure(error))); });
    stream.write('1\ta\t1\n');
    stream.destroy(new Error('given up'));
    return [await ended, await count()];
  });
}

async function cancels(client) {
  // Client.cancel() sends its request without TLS, whatever the connection is.
  const cancel = () => {
    const other = new Client(parts());
    const ended = new Promise((done) => { other.connection.once('end', done); });
    other.cancel(client, client.activeQuery);
    return Promise.race([ended, wait(5000)]);
  };
  await check('cancel', 'Client.cancel()', async () => {
    const running = attempt(() => client.query('SELECT pg_sleep(30)'));
    await wait(400);
    const began = Date.now();
    await cancel();
    return [await running, Date.now() - began < 10000, await rows(client, 'SELECT 1')];
  });
  await check('cancel', 'statement_timeout', async () => {
    await client.query('SET statement_timeout = 100');
    const found = await attempt(() => client.query('SELECT pg_sleep(30)'));
    await client.query('RESET statement_timeout');
    return found;
  });
}

async function transactions(client) {
  const insert = (n) => `INSERT INTO m (id, name) VALUES (${n}, 'new')`;
  const run = (...steps) => async () => {
    const found = [];
    for (const text of ['BEGIN', ...steps]) found.push(await attempt(() => rows(client, text)));
    found.push(await rows(client, 'SELECT count(*) FROM m'));
    await client.query('DELETE FROM m WHERE id >= 70');
    return found;
  };
  await check('transactions', 'commit', run(insert(70), 'COMMIT'));
  await check('transactions', 'rollback', run(insert(70), 'ROLLBACK'));
  await check('transactions', 'an error, then rollback', run(insert(70), 'SELECT 1 / 0', 'SELECT 1', 'ROLLBACK'));
  await check('transactions', 'an error, then commit', run(insert(70), 'SELECT 1 / 0', 'COMMIT'));
  await check('transactions', 'an error in a savepoint', run(insert(70), 'SAVEPOINT s', insert(70), 'ROLLBACK TO s', insert(71), 'COMMIT'));
  await check('transactions', 'isolation and read only', run(
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE', 'SHOW transaction_isolation', 'SHOW transaction_read_only',
    'CREATE TABLE public.never (a int)', 'ROLLBACK'));
}

async function errors(client) {
  for (const [name, text] of Object.entries(CELLS.errors)) await check('errors', name, () => rows(client, text));
  for (const [name, text] of Object.entries(CELLS.errors)) await check('errors', `${name}, prepared`, () => rows(client, text, [], { queryMode: 'extended' }));
  await check('errors', "a parameter's value", () => rows(client, 'SELECT 1 / $1::int', [0]));
  await check('errors', 'several statements', () => rows(client, 'SELECT 1; SELECT 1 / 0; SELECT 2'));
}

async function session(client) {
  await check('session', 'notices', async () => {
    const heard = [];
    client.on('notice', (n) => heard.push([n.severity, n.code, n.message]));
    for (const text of ['CREATE TEMP TABLE IF NOT EXISTS m (id int)', 'COMMIT', `SELECT 1 AS ${'a'.repeat(70)}`]) await client.query(text);
    return heard;
  });
  await check('session', 'LISTEN and NOTIFY', async () => {
    const heard = [];
    const all = new Promise((done) => {
      client.on('notification', (n) => heard.push([n.channel, n.payload]) === 3 && done());
    });
    await client.query('LISTEN one; LISTEN "Zwei"');
    const other = new Client(parts());
    await other.connect();
    await other.query("NOTIFY one, 'first'");
    await other.query("SELECT pg_notify('Zwei', $1)", ['häß']);
    await other.end();
    await client.query("NOTIFY one, 'own'");
    await Promise.race([all, wait(10000)]);
    await client.query('UNLISTEN *');
    return heard;
  });
  await check('session', 'several results', () => rows(client, "SELECT 1; SELECT 'a', 2; UPDATE m SET size = 1 WHERE id = 1"));
  await check('session', 'an empty query', () => rows(client, ''));
  await check('session', 'result description', async () => {
    const { fields } = await client.query('SELECT id, sku, id + 1 AS more FROM products WHERE id = 1');
    return fields.map((f) => [f.name, f.tableID > 0, f.columnID, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format]);
  });
  await check('masking', 'a masked column', () => rows(client, 'SELECT id, ssn FROM customers WHERE id <= $1 ORDER BY id', [3]));
}

async function cursors(client) {
  const series = "SELECT n, repeat('x', n % 50) FROM generate_series(1, $1) n";
  await check('cursors', 'pg-cursor', async () => {
    const cursor = client.query(new Cursor(series, [1000], { rowMode: 'array' }));
    const found = [(await cursor.read(1)).length, (await cursor.read(10)).length];
    let sum = 0;
    for (let part = await cursor.read(7); part.length; part = await cursor.read(7)) sum += part.reduce((a, [n]) => a + n, 0);
    await cursor.close();
    return [...found, sum];
  });
  await check('cursors', 'closed before its end', async () => {
    const cursor = client.query(new Cursor(series, [1000]));
    const found = (await cursor.read(5)).length;
    await cursor.close();
    return [found, await rows(client, 'SELECT 1')];
  });
}

async function main() {
  put('driver', 'version', ['pg', 'pg-copy-streams', 'pg-cursor'].map(version).join(', '));
  const client = await connect();
  for (const part of [types, prepared, pipelines, copies, transactions, errors, session, cursors, cancels]) await part(client);
  await client.end();
}

main();
