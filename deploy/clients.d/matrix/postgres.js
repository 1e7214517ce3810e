// The driver matrix: postgres.js, which sends statements ahead of their answers. Argument: a libpq URL.
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
const postgres = require('postgres');
const { BIG, CELLS, attempt, check, digest, parts, put, unsupported, version, wait } = require('./common.js');

const heard = [];
const open = (more = {}) => postgres({ ...parts(), username: parts().user, max: 1, onnotice: (n) => heard.push([n.severity, n.code, n.message]), ...more });

async function types(sql, mode) {
  for (const [name, literals] of Object.entries(CELLS.types)) {
    await check('results as text', `${name}${mode}`, async () => {
      const found = [];
      for (const literal of [...literals, null]) found.push(await attempt(() => sql.unsafe(`SELECT ($1::text)::${name} AS x`, [literal]).values()));
      return found;
    });
    await check('parameters as text', `${name}${mode}`, async () => {
      const found = [];
      for (const literal of [...literals, null]) {
        found.push(await attempt(async () => {
          const [[value]] = await sql.unsafe(`SELECT ($1::text)::${name} AS x`, [literal]).values();
          return sql.unsafe(`SELECT ($1::${name})::text AS x`, [value]).values();
        }));
      }
      return found;
    });
  }
  await check('large values', `5 MB of text${mode}`, async () => {
    const [[back, length]] = await sql`SELECT ${BIG}::text, octet_length(${BIG}::text)`.values();
    return [digest(back), length, back === BIG];
  });
}

async function prepared(sql) {
  await check('prepared statements', 'the same many times', async () => {
    const found = [];
    for (let n = 0; n < CELLS.many; n += 1) found.push(await sql`SELECT name, ${n}::int + size AS s FROM m WHERE id = ${1 + (n % 2)}`.values());
    return found;
  });
  await check('prepared statements', 'describe', async () => {
    const { columns, types: kinds } = await sql`SELECT id, name FROM m WHERE id = ${1} AND name = ${'one'}`.describe();
    return [kinds, columns.map((c) => [c.name, c.type])];
  });
  await check('prepared statements', 'lists and objects', async () => [
    await sql`INSERT INTO m ${sql([{ id: 100, name: 'a' }, { id: 101, name: 'b' }])} RETURNING id`.values(),
    await sql`UPDATE m SET ${sql({ name: 'c', size: 4 }, 'name', 'size')} WHERE id IN ${sql([100, 101])} RETURNING name, size`.values(),
    (await sql`DELETE FROM m WHERE id >= 100`).count]);
  await check('prepared statements', 'DEALLOCATE ALL in between', async () => {
    const select = () => attempt(() => sql`SELECT ${1}::int + 7 AS x`.values());
    const before = await select();
    await sql.unsafe('DEALLOCATE ALL');
    return [before, await select(), await select()];
  });
  await check('prepared statements', 'a table that changes', async () => {
    await sql.unsafe('CREATE TEMP TABLE c (a int)');
    const select = () => attempt(() => sql`SELECT * FROM c`.values());
    const before = await select();
    await sql.unsafe('ALTER TABLE c ADD COLUMN b int DEFAULT 5');
    return [before, await select(), await select()];
  });
  await check('large values', '10,000 parameters', () => {
    const many = Array.from({ length: CELLS.parameters }, (_, n) => n);
    return sql`SELECT count(*)::int FROM generate_series(0, 20000) n WHERE n IN ${sql(many)}`.values();
  });
}

async function pipelines(sql) {
  await check('pipelines', '40 statements', () => (
    Promise.all(Array.from({ length: 40 }, (_, n) => sql`SELECT ${n}::int + 1 AS x`.values()))));
  await check('pipelines', '40 simple statements', () => (
    Promise.all(Array.from({ length: 40 }, (_, n) => sql.unsafe(`SELECT ${n} + 1`).simple().values()))));
  await check('pipelines', 'an error in the middle', async () => (
    Promise.all([1, 2, 0, 4, 5].map((n) => attempt(() => sql`SELECT 10 / ${n}::int AS x`.values())))));
  await check('pipelines', 'a transaction at once', () => sql.begin((t) => [
    t`INSERT INTO m (id, name) VALUES (50, 'fifty')`, t`INSERT INTO m (id, name) VALUES (51, 'more')`, t`SELECT count(*)::int FROM m`]));
  await check('pipelines', 'a transaction that fails', () => sql.begin((t) => [
    t`INSERT INTO m (id, name) VALUES (52, 'new')`, t`INSERT INTO m (id, name) VALUES (50, 'again')`, t`SELECT count(*)::int FROM m`]));
  await check('pipelines', 'what is left', () => sql`DELETE FROM m WHERE id >= 50 RETURNING id`.values());
}

// Each on a connection of its own, and out in one piece: a stream that was paused, or that ends with an error, keeps the
// driver's connection for good.
async function copies() {
  const make = (rows) => Array.from({ length: rows }, (_, n) => `${n}\t${n % 3 ? 'x漢' : '\\N'}\t${n / 4}\n`);
  const into = async (sql, option, source) => pipeline(Readable.from(source), await sql.unsafe(`COPY k FROM STDIN ${option}`).writable());
  const out = async (sql, option) => {
    const found = [];
    for await (const part of await sql.unsafe(`COPY k TO STDOUT ${option}`).readable()) found.push(part);
    return Buffer.concat(found);
  };
  const count = (sql) => sql`SELECT count(*)::int, sum(a)::int, sum(c), count(b)::int FROM k`.values();
  const alone = (cell, use) => check('COPY', cell, async () => {
    const sql = open();
    await sql.unsafe('CREATE TEMP TABLE k (a int, b text, c float8)');
    try {
      return await Promise.race([use(sql), wait(10000).then(() => 'no answer')]);
    } finally {
      await sql.end({ timeout: 1 });
    }
  });
  for (const [name, option] of Object.entries({ text: '', CSV: '(FORMAT csv, HEADER)', binary: '(FORMAT binary)' })) {
    await alone(`in and out, ${name}`, async (sql) => {
      await into(sql, '', make(200));
      const data = await out(sql, option);
      await sql`DELETE FROM k WHERE a >= 0`;
      await into(sql, option, [data.subarray(0, 701), data.subarray(701)]);
      return [digest(data.toString('hex')), await count(sql)];
    });
  }
  await alone('20,000 rows in', async (sql) => { await into(sql, '', make(20000)); return count(sql); });
  await alone('a bad row', (sql) => Promise.race([into(sql, '', ['1\ta\t1\nx\tb\t2\n']), wait(2000).then(() => 'no answer')]));
}

async function cancels(sql) {
  await check('cancel', 'query.cancel()', async () => {
    const running = sql`SELECT pg_sleep(30)`.execute();
    const ended = attempt(() => running);
    await wait(400);
    const began = Date.now();
    running.cancel();
    const found = await ended;
    await wait(200);
    return [found, Date.now() - began < 10000, await sql`SELECT 1`.values()];
  });
}

async function transactions(sql) {
  const count = () => sql`SELECT count(*)::int FROM m`.values();
  const run = async (use) => {
    const found = [await attempt(() => sql.begin(use)), await count()];
    await sql`DELETE FROM m WHERE id >= 70`;
    return found;
  };
  const insert = (t, n) => t`INSERT INTO m (id, name) VALUES (${n}, 'new')`;
  await check('transactions', 'commit', () => run(async (t) => { await insert(t, 70); }));
  await check('transactions', 'rollback', () => run(async (t) => { await insert(t, 70); throw new Error('roll back'); }));
  await check('transactions', 'an error, then rollback', () => run(async (t) => { await insert(t, 70); await t`SELECT 1 / 0`; }));
  await check('transactions', 'an error in a savepoint', () => run(async (t) => {
    await insert(t, 70);
    const inner = await attempt(() => t.savepoint(async (s) => { await insert(s, 71); await insert(s, 70); }));
    await insert(t, 72);
    return [inner];
  }));
  await check('transactions', 'isolation and read only', () => sql.begin('isolation level serializable read only', async (t) => (
    [await t`SHOW transaction_isolation`.values(), await t`SHOW transaction_read_only`.values()])));
}

async function errors(sql) {
  for (const [name, text] of Object.entries(CELLS.errors)) {
    await check('errors', name, () => sql.unsafe(text).simple());
    await check('errors', `${name}, prepared`, () => sql.unsafe(text, [], { prepare: true }));
  }
  await check('errors', "a parameter's value", () => sql`SELECT 1 / ${0}::int`);
}

async function session(sql) {
  await check('session', 'notices', async () => {
    heard.length = 0;
    for (const text of ['CREATE TEMP TABLE IF NOT EXISTS m (id int)', 'COMMIT', `SELECT 1 AS ${'a'.repeat(70)}`]) await sql.unsafe(text);
    return heard;
  });
  await check('session', 'LISTEN and NOTIFY', async () => {
    const got = [];
    let ready;
    const all = new Promise((done) => { ready = done; });
    const hear = (channel) => (payload) => { if (got.push([channel, payload]) === 3) ready(); };
    await sql.listen('one', hear('one'));
    await sql.listen('Zwei', hear('Zwei'));
    await sql.notify('one', 'first');
    await sql.notify('Zwei', 'häß');
    await sql.notify('one', 'own');
    await Promise.race([all, wait(10000)]);
    return got;
  });
  await check('session', 'several results', async () => (await sql.unsafe("SELECT 1; SELECT 'a', 2").values()));
  await check('session', 'parameter status', async () => {
    await sql.unsafe("SET TimeZone = 'Asia/Tokyo'");
    const found = ['TimeZone', 'server_version', 'client_encoding'].map((n) => sql.parameters[n]);
    await sql.unsafe('RESET ALL');
    return [found, sql.parameters.TimeZone];
  });
  await check('session', 'result description', async () => (
    (await sql`SELECT id, sku, id + 1 AS more FROM products WHERE id = 1`).columns.map((c) => [c.name, c.type, c.table > 0, c.number])));
  await check('masking', 'a masked column', () => sql`SELECT id, ssn FROM customers WHERE id <= ${3} ORDER BY id`.values());
  unsupported('results as binary', 'all types', 'postgres.js has only the text format');
  unsupported('parameters as binary', 'all types', 'postgres.js has only the text format');
}

async function cursors(sql) {
  const series = () => sql`SELECT n, repeat('x', n % 50) FROM generate_series(1, ${1000}) n`;
  await check('cursors', 'in pieces', async () => {
    const found = [];
    for await (const part of series().cursor(300)) found.push(part.length);
    return found;
  });
  await check('cursors', 'closed before its end', async () => {
    let seen = 0;
    await series().cursor(10, (part) => { seen += part.length; return seen >= 30 ? sql.CLOSE : undefined; });
    return [seen, await sql`SELECT 1`.values()];
  });
  await check('cursors', 'row by row', async () => {
    let sum = 0;
    await series().forEach((row) => { sum += row.n; });
    return sum;
  });
}

async function main() {
  put('driver', 'version', version('postgres'));
  const sql = open();
  for (const text of CELLS.setup) await sql.unsafe(text);
  await types(sql, '');
  const unprepared = open({ prepare: false });
  await types(unprepared, ', unnamed');
  await unprepared.end();
  for (const part of [prepared, pipelines, copies, transactions, errors, session, cursors, cancels]) await part(sql);
  await sql.end({ timeout: 5 });
}

main();
