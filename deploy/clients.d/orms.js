// ORMs and query builders of npm. Arguments: which one, a libpq URL, `up` or `down`. Everything is made in schema `mig`.
const [tool, url, phase] = process.argv.slice(2);
const parsed = new URL(url);
const fs = require('fs');
const path = require('path');
const root = parsed.searchParams.get('sslrootcert');
const ssl = root ? { ca: fs.readFileSync(root, 'utf8'), rejectUnauthorized: true } : false;
const connection = {
  host: parsed.hostname, port: Number(parsed.port), user: decodeURIComponent(parsed.username),
  password: decodeURIComponent(parsed.password), database: parsed.pathname.slice(1), ssl,
};
const show = (...values) => console.log(...values.map((v) => JSON.stringify(v)));

// A migration as one text, as Prisma and the plain-SQL runners send it.
const SCRIPT = `
-- CreateEnum
CREATE TYPE "mig"."Role" AS ENUM ('USER', 'ADMIN');
-- CreateTable
CREATE TABLE "mig"."User" (
  "id" SERIAL NOT NULL, "email" TEXT NOT NULL, "role" "mig"."Role" NOT NULL DEFAULT 'USER',
  CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
CREATE TABLE "mig"."Post" ("id" SERIAL NOT NULL, "title" VARCHAR(100), "authorId" INTEGER NOT NULL,
  "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, CONSTRAINT "Post_pkey" PRIMARY KEY ("id"));
-- CreateIndex
CREATE UNIQUE INDEX "User_email_key" ON "mig"."User"("email");
CREATE INDEX "Post_title_idx" ON "mig"."Post"("title");
-- AddForeignKey
ALTER TABLE "mig"."Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "mig"."User"("id")
  ON DELETE RESTRICT ON UPDATE CASCADE;
INSERT INTO "mig"."User" ("email") VALUES ('a@example.org'), ('b@example.org');
INSERT INTO "mig"."Post" ("title", "authorId") SELECT 'Hello', "id" FROM "mig"."User";
-- AlterTable
ALTER TABLE "mig"."Post" ADD COLUMN "views" INTEGER;
UPDATE "mig"."Post" SET "views" = 0 WHERE "views" IS NULL;
ALTER TABLE "mig"."Post" ALTER COLUMN "views" SET NOT NULL;
ALTER TYPE "mig"."Role" ADD VALUE 'GUEST';
ALTER TABLE "mig"."Post" RENAME COLUMN "title" TO "headline";
CREATE VIEW "mig"."Shown" AS SELECT "headline", "views" FROM "mig"."Post";
COMMENT ON TABLE "mig"."Post" IS 'posts';
SELECT count(*)::int AS posts FROM "mig"."Post" WHERE "views" = 0;
SELECT count(*)::int AS shown FROM "mig"."Shown";`;

const tools = {
  async script() {
    const { Client } = require('pg');
    const client = new Client(connection);
    await client.connect();
    if (phase === 'up') {
      await client.query('CREATE SCHEMA IF NOT EXISTS mig');
      const results = await client.query(SCRIPT);
      show(results.map((r) => [r.command, r.rowCount, r.rows]));
      show((await client.query({ text: 'SELECT * FROM mig."Post" ORDER BY id', rowMode: 'array' })).rows.length);
      show((await client.query({ name: 'kept', text: 'SELECT $1::text || sku AS s FROM products WHERE id = $2', values: ['x', 1] })).rows);
      const table = `SELECT c.table_name, c.column_name, c.data_type, c.udt_name, c.is_nullable, c.column_default,
        tc.constraint_type FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage k
        USING (table_schema, table_name, column_name) LEFT JOIN information_schema.table_constraints tc
        USING (constraint_schema, constraint_name) WHERE c.table_schema = 'mig' ORDER BY 1, 2, 7`;
      show((await client.query(table)).rows);
    } else {
      await client.query('DROP VIEW mig."Shown"; DROP TABLE mig."Post"; DROP TABLE mig."User"; DROP TYPE mig."Role"');
    }
    await client.end();
  },

  async knex() {
    const knex = require('knex')({ client: 'pg', connection, searchPath: ['mig', 'public'], pool: { min: 1, max: 2 } });
    const migrations = {
      one: {
        async up(k) {
          await k.schema.createTable('accounts', (t) => {
            t.increments('id');
            t.string('label', 30).notNullable().unique();
            t.enu('kind', ['a', 'b'], { useNative: true, enumName: 'kinds' });
            t.jsonb('extra').defaultTo('{}');
            t.timestamps(true, true);
            t.index(['kind', 'label']);
          });
          await k('accounts').insert([{ label: 'x', kind: 'a' }, { label: 'y', kind: 'b' }]);
        },
        async down(k) {
          await k.schema.dropTable('accounts');
          await k.raw('DROP TYPE kinds');
        },
      },
      two: {
        async up(k) {
          await k.schema.alterTable('accounts', (t) => {
            t.integer('orders_id').references('id').inTable('public.orders');
            t.string('label', 60).notNullable().alter();
            t.renameColumn('extra', 'details');
          });
          await k('accounts').where('id', '>', 0).update({ details: { a: 1 } });
        },
        async down(k) {
          await k.schema.alterTable('accounts', (t) => t.dropColumn('orders_id'));
        },
      },
    };
    const config = {
      schemaName: 'mig',
      migrationSource: {
        getMigrations: async () => Object.keys(migrations),
        getMigrationName: (name) => name,
        getMigration: async (name) => migrations[name],
      },
    };
    if (phase === 'up') {
      await knex.raw('CREATE SCHEMA IF NOT EXISTS mig');
      show(await knex.migrate.latest(config));
      show(await knex('accounts').columnInfo(), await knex.schema.hasTable('accounts'));
      show(await knex('accounts').select('id', 'label', 'details').orderBy('id'), await knex.migrate.list(config));
      show(await knex.transaction((t) => t('accounts').insert({ label: 'z' }).returning('id')));
      show(await knex('accounts').insert({ label: 'z' }).onConflict('label').merge().returning('label'));
    } else {
      await knex.migrate.rollback(config, true);
    }
    await knex.destroy();
  },

  async sequelize() {
    const { Sequelize, DataTypes } = require('sequelize');
    const { host, port, user, password, database } = connection;
    const sequelize = new Sequelize(database, user, password, {
      host, port, dialect: 'postgres', logging: false, schema: 'mig', dialectOptions: ssl ? { ssl } : {},
    });
    const query = sequelize.getQueryInterface();
    const Tag = sequelize.define('Tag', { name: { type: DataTypes.STRING(30), unique: true }, level: DataTypes.ENUM('low', 'high') },
      { schema: 'mig', timestamps: false, indexes: [{ fields: ['level'] }] });
    const Note = sequelize.define('Note', { text: DataTypes.TEXT, about: DataTypes.JSONB }, { schema: 'mig', timestamps: false });
    Note.belongsTo(Tag);
    if (phase === 'up') {
      await sequelize.createSchema('mig').catch(() => {});
      await sequelize.sync();
      const tag = await Tag.create({ name: 'a', level: 'low' });
      await Note.bulkCreate([{ text: 'one', TagId: tag.id }, { text: 'two', TagId: tag.id }]);
      show(await Note.findAll({ include: Tag, order: ['id'], raw: true }));
      await query.addColumn({ tableName: 'Notes', schema: 'mig' }, 'rank', { type: DataTypes.INTEGER, defaultValue: 1 });
      await query.changeColumn({ tableName: 'Notes', schema: 'mig' }, 'rank', { type: DataTypes.BIGINT, allowNull: false, defaultValue: 2 });
      await query.renameColumn({ tableName: 'Notes', schema: 'mig' }, 'text', 'body');
      await query.addIndex({ tableName: 'Notes', schema: 'mig' }, ['rank'], { name: 'notes_rank' });
      show(await query.describeTable({ tableName: 'Notes', schema: 'mig' }), await query.describeTable({ tableName: 'customers', schema: 'public' }));
      show(await query.showIndex({ tableName: 'Notes', schema: 'mig' }), (await query.showAllTables()).length > 0);
      show(await query.getForeignKeyReferencesForTable({ tableName: 'Notes', schema: 'mig' }));
      show(await sequelize.databaseVersion());
    } else {
      await query.dropTable({ tableName: 'Notes', schema: 'mig' });
      await query.dropTable({ tableName: 'Tags', schema: 'mig' });
      await sequelize.query('DROP TYPE IF EXISTS mig."enum_Tags_level"');
    }
    await sequelize.close();
  },

  async typeorm() {
    require('reflect-metadata');
    const { DataSource, EntitySchema } = require('typeorm');
    const entity = (width) => new EntitySchema({
      name: 'Part', tableName: 'parts', schema: 'mig',
      columns: {
        id: { type: 'int', primary: true, generated: true },
        name: { type: 'varchar', length: width, unique: true },
        sort: { type: 'enum', enum: ['x', 'y'], default: 'x' },
        tags: { type: 'text', array: true, nullable: true },
        ...(width > 20 ? { price: { type: 'numeric', precision: 8, scale: 2, default: 0 } } : {}),
      },
      indices: [{ columns: ['sort'] }],
    });
    const source = (width) => new DataSource({
      type: 'postgres', host: connection.host, port: connection.port, username: connection.user,
      password: connection.password, database: connection.database, ssl, schema: 'mig', installExtensions: false,
      entities: [entity(width)], synchronize: false,
    });
    if (phase === 'up') {
      const first = source(20);
      await first.initialize();
      await first.query('CREATE SCHEMA IF NOT EXISTS mig');
      await first.synchronize();
      await first.getRepository('Part').save([{ name: 'a', tags: ['t'] }, { name: 'b', sort: 'y' }]);
      await first.destroy();
      const second = source(40);
      await second.initialize();
      const wanted = await second.driver.createSchemaBuilder().log();
      show(wanted.upQueries.map((q) => q.query));
      await second.query('ALTER TABLE mig.parts ADD COLUMN price numeric(8, 2) NOT NULL DEFAULT 0');
      const runner = second.createQueryRunner();
      const table = await runner.getTable('mig.parts');
      show(table.columns.map((c) => [c.name, c.type, c.isNullable, c.default]), table.indices.length);
      show(await runner.getTables(['public.orders', 'tools.child']).then((all) => all.map((t) => [t.name, t.columns.length, t.foreignKeys.length])));
      await runner.release();
      show(await second.getRepository('Part').find({ order: { id: 'ASC' } }));
      await second.destroy();
    } else {
      const last = source(40);
      await last.initialize();
      await last.query('DROP TABLE mig.parts');
      await last.query('DROP TYPE mig.parts_sort_enum');
      await last.destroy();
    }
  },

  async drizzle() {
    const { execFileSync } = require('child_process');
    const directory = fs.mkdtempSync(path.join(process.env.CLIENTS_TOOLS, 'drizzle-'));
    const kit = path.join(process.env.CLIENTS_TOOLS, 'node_modules', 'drizzle-kit', 'bin.cjs');
    const { Client } = require('pg');
    const client = new Client(connection);
    await client.connect();
    const config = (out, schema) => {
      const file = path.join(directory, `${path.basename(out)}.config.json`);
      fs.writeFileSync(file, JSON.stringify({
        dialect: 'postgresql', schema, out, dbCredentials: connection, schemaFilter: ['public', 'tools'],
        migrations: { schema: 'mig', table: 'drizzle' },
      }));
      return file;
    };
    const run = (...args) => execFileSync(process.execPath, [kit, ...args], { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    if (phase === 'up') {
      // What is there, described; then migrations as files, each with several statements.
      const pulled = path.join(directory, 'pulled');
      run('introspect', '--config', config(pulled, './none.ts'));
      console.log(fs.readFileSync(path.join(pulled, 'schema.ts'), 'utf8'));
      const steps = [
        'CREATE TYPE "mig"."hue" AS ENUM(\'red\');--> statement-breakpoint\nCREATE TABLE "mig"."things" ("id" serial PRIMARY KEY, "hue" "mig"."hue", "name" text NOT NULL);',
        'ALTER TABLE "mig"."things" ADD COLUMN "n" integer; UPDATE "mig"."things" SET "n" = 1 WHERE "id" > 0; CREATE INDEX "things_n" ON "mig"."things" ("n");',
      ];
      const out = path.join(directory, 'steps');
      fs.mkdirSync(path.join(out, 'meta'), { recursive: true });
      steps.forEach((text, n) => fs.writeFileSync(path.join(out, `000${n}_step.sql`), text));
      fs.writeFileSync(path.join(out, 'meta', '_journal.json'), JSON.stringify({
        version: '7', dialect: 'postgresql',
        entries: steps.map((_, idx) => ({ idx, version: '7', when: 1700000000000 + idx, tag: `000${idx}_step`, breakpoints: true })),
      }));
      run('migrate', '--config', config(out, './none.ts'));
      const { drizzle } = require('drizzle-orm/node-postgres');
      const { sql } = require('drizzle-orm');
      show((await drizzle(client).execute(sql`SELECT count(*)::int AS n FROM mig.things`)).rows);
    } else {
      await client.query('DROP TABLE mig.things; DROP TYPE mig.hue; DROP TABLE mig.drizzle');
    }
    await client.end();
    fs.rmSync(directory, { recursive: true, force: true });
  },
};

tools[tool]().then(() => process.exit(0), (error) => {
  console.error(error.stdout || '', error.stderr || '', error);
  process.exit(1);
});
