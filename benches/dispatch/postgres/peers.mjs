// Runs a queue of another project on a database, with jobs that do nothing, and prints their jobs per
// second: `node peers.mjs fill|drain graphile|boss JOBS`. The database is that of PGHOST, PGUSER and PGDATABASE.
// As fast as each is by its own documentation: graphile-worker with a local queue and its completions
// batched, 64 at once; pg-boss with four workers that fetch and complete 64 jobs at a time.
import { createRequire } from 'node:module';
const require = createRequire(`${process.cwd()}/`);
const pg = require('pg');

const [action, peer, count] = process.argv.slice(2);
const jobs = Number(count);
const connection = { host: process.env.PGHOST, user: process.env.PGUSER, database: process.env.PGDATABASE };
const connectionString = `postgres://${connection.user}@localhost/${connection.database}?host=${connection.host}`;

async function query(text, values) {
    const client = new pg.Client(connection);
    await client.connect();
    try {
        return await client.query(text, values);
    } finally {
        await client.end();
    }
}

function print(start, end) {
    console.log(JSON.stringify(jobs / ((end - start) / 1000)));
}

const silent = () => {};

const graphile = {
    async fill() {
        const { runMigrations } = require('graphile-worker');
        await runMigrations({ connectionString });
        await query(
            `SELECT count(*) FROM generate_series(1, $1::int) i,
             LATERAL graphile_worker.add_job('nothing', json_build_object('caseId', i, 'message', repeat('m', 95)))`,
            [jobs],
        );
    },
    async drain() {
        const { run, Logger } = require('graphile-worker');
        let begun, done = 0, finish;
        const all = new Promise((resolve) => (finish = resolve));
        const runner = await run({
            preset: {
                worker: {
                    connectionString,
                    concurrentJobs: 64,
                    localQueue: { size: 500 },
                    completeJobBatchDelay: 0,
                    failJobBatchDelay: 0,
                },
            },
            logger: new Logger(() => silent),
            noHandleSignals: true,
            taskList: {
                nothing: async () => {
                    begun ??= performance.now();
                    done += 1;
                    if (done === jobs) finish();
                },
            },
        });
        await all;
        print(begun, performance.now());
        await runner.stop();
    },
};

const boss = {
    async open(options) {
        const PgBoss = require('pg-boss');
        const open = new PgBoss({ ...connection, max: 8, ...options });
        open.on('error', (error) => console.error(error));
        await open.start();
        return open;
    },
    async fill() {
        const open = await boss.open({});
        await open.createQueue('nothing');
        for (let first = 0; first < jobs; first += 1000) {
            const batch = Array.from({ length: Math.min(1000, jobs - first) }, (_, i) => ({
                name: 'nothing',
                data: { caseId: first + i, message: 'm'.repeat(95) },
            }));
            await open.insert(batch);
        }
        await open.stop({ graceful: false });
    },
    async drain() {
        const open = await boss.open({ supervise: false, schedule: false });
        let done = 0;
        const start = performance.now();
        const worker = async () => {
            for (;;) {
                const batch = await open.fetch('nothing', { batchSize: 64 });
                if (!batch || batch.length === 0) return;
                await open.complete('nothing', batch.map((job) => job.id));
                done += batch.length;
            }
        };
        await Promise.all([worker(), worker(), worker(), worker()]);
        if (done !== jobs) throw new Error(`${done} of ${jobs} jobs`);
        print(start, performance.now());
        await open.stop({ graceful: false });
    },
};

await { graphile, boss }[peer][action]();
process.exit(0);
