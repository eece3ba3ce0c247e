#!/usr/bin/env python3
"""A worker for the queue of a leadscore pipeline.

It claims messages of one channel and hands each to a command, as JSON on its
standard input; the command exits with 0 if the message is on its way.

  PIPELINE=crm CHANNEL=email MAILER=./send-mail python3 worker.py

PGHOST, PGUSER and so on say where the database is; the role needs
leadscore.grant_app(). ONCE=1: end when nothing is due. WORKER: its name in
action.claimed_by. SIGTERM ends it after the message that it is sending. Needs psycopg2.
"""
import json, os, signal, subprocess, time
import psycopg2, psycopg2.extras

channel, once = os.environ.get('CHANNEL', 'email'), os.environ.get('ONCE')
name = os.environ.get('WORKER', 'worker %d' % os.getpid())
stopped = []
if not os.environ.get('MAILER'):
    raise SystemExit('set MAILER to the command that sends a message')
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stopped.append(True))

def send(action):
    return subprocess.run(os.environ['MAILER'], shell=True, text=True, input=json.dumps(action, default=str)).returncode == 0

def work(db):
    pause = 1
    while not stopped:
        # each statement is a transaction of its own: nothing is locked while a message is sent
        db.execute('SELECT * FROM claim_actions(%s, 20, worker => %s)', [channel, name])
        actions = db.fetchall()
        for action in actions if not stopped else []:
            ticket = [action['lead_id'], action['action_id'], action['attempt']]
            db.execute('SELECT action_wanted(%s, %s, %s) AS wanted', ticket)
            if stopped:
                break
            if not db.fetchone()['wanted']:
                continue
            if send(action):
                db.execute('SELECT complete_action(%s, %s, %s)', ticket)
            else:
                db.execute('SELECT fail_action(%s, %s, %s, %s)', ticket + ['the mailer refused it'])
        if not actions and once:
            return
        pause = 1 if actions else min(pause * 2, 60)
        until = time.monotonic() + (0 if actions else pause)
        while time.monotonic() < until and not stopped:
            time.sleep(0.2)

while not stopped:
    try:
        connection = psycopg2.connect(options='-c search_path=' + os.environ.get('PIPELINE', 'crm'))
        connection.autocommit = True
        work(connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor))
        break
    except psycopg2.OperationalError as error:
        # the server went away: what was claimed is handed out again when its lease ends
        print(error, flush=True)
        time.sleep(1)
