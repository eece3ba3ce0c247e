#!/usr/bin/env node
// A worker for the queue of a leadscore pipeline.
//
// It claims messages of one channel and hands each to a command, as JSON on its
// standard input; the command exits with 0 if the message is on its way.
//
//   PIPELINE=crm CHANNEL=email MAILER=./send-mail node worker.js
//
// PGHOST, PGUSER and so on say where the database is; the role needs
// leadscore.grant_app(). ONCE=1: end when nothing is due. WORKER: its name in
// action.claimed_by. SIGTERM ends it after the message that it is sending. Needs the package pg.
const { spawn } = require('child_process');
const { Client } = require('pg');

const channel = process.env.CHANNEL || 'email', once = process.env.ONCE;
const name = process.env.WORKER || `worker ${process.pid}`;
let stopped = false;
if (!process.env.MAILER) {
    console.error('set MAILER to the command that sends a message');
    process.exit(1);
}
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { stopped = true; });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const send = (action) => new Promise((resolve) => {
    const mailer = spawn(process.env.MAILER, { shell: true, stdio: ['pipe', 'inherit', 'inherit'] });
    mailer.on('close', (code) => resolve(code === 0));
    mailer.stdin.on('error', () => {});
    mailer.stdin.end(JSON.stringify(action));
});

async function work(db) {
    let pause = 1;
    while (!stopped) {
        // each statement is a transaction of its own: nothing is locked while a message is sent
        const actions = (await db.query('SELECT * FROM claim_actions($1, 20, worker => $2)', [channel, name])).rows;
        for (const action of actions) {
            const ticket = [action.lead_id, action.action_id, action.attempt];
            const { wanted } = (await db.query('SELECT action_wanted($1, $2, $3) AS wanted', ticket)).rows[0];
            if (stopped) break;
            if (!wanted) continue;
            if (await send(action)) await db.query('SELECT complete_action($1, $2, $3)', ticket);
            else await db.query('SELECT fail_action($1, $2, $3, $4)', [...ticket, 'the mailer refused it']);
        }
        if (!actions.length && once) return;
        pause = actions.length ? 1 : Math.min(pause * 2, 60);
        for (let i = 0; !actions.length && i < pause * 5 && !stopped; i++) await sleep(200);
    }
}

(async () => {
    while (!stopped) {
        const client = new Client({ options: '-c search_path=' + (process.env.PIPELINE || 'crm') });
        client.on('error', () => {});
        try {
            await client.connect();
            await work(client);
            await client.end();
            break;
        } catch (error) {
            // the server went away: what was claimed is handed out again when its lease ends
            console.log(error.message);
            await client.end().catch(() => {});
            await sleep(1000);
        }
    }
})();
