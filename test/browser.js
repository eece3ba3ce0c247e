// Open pages in Debian's chromium, without a network, and say what is there:
//
//   node test/browser.js PAGE WIDTH light|dark [PAGE WIDTH light|dark ...]
//
// It prints a JSON array: of each page console messages and errors, requests, how
// far it is wider than the screen, and its tables, facts, sentences and charts.
// With PICTURE=FILE.png in the environment the first HEIGHT pixels are saved, SCALE
// times as large, and with PDF=FILE.pdf what would be printed.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const { PICTURE, PDF, HEIGHT = '900', SCALE = '1' } = process.env;
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'browser-'));
// a program that answers over two pipes needs no port and no library
const browser = spawn(process.env.CHROMIUM || 'chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run', '--disable-background-networking',
	'--disable-dev-shm-usage', '--proxy-server=127.0.0.1:9', '--user-data-dir=' + profile, '--remote-debugging-pipe'],
	{ stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: profile } });
const waiting = new Map();
let calls = 0, buffer = '', said, requests, loaded;

function call(method, params = {}, sessionId) {
	return new Promise((resolve, reject) => {
		waiting.set(++calls, { resolve, reject });
		browser.stdio[3].write(JSON.stringify({ id: calls, method, params, sessionId }) + '\0');
	});
}

function hear({ method, params }) {
	if (method === 'Runtime.consoleAPICalled') said.push(params.type + ': ' + params.args.map(a => a.value || a.description).join(' '));
	if (method === 'Runtime.exceptionThrown') said.push('exception: ' + (params.exceptionDetails.exception || {}).description);
	if (method === 'Log.entryAdded') said.push(params.entry.level + ': ' + params.entry.text);
	if (method === 'Network.requestWillBeSent') requests.push(params.request.url.slice(0, 100));
	if (method === 'Page.loadEventFired') loaded();
}

browser.stdio[4].on('data', data => {
	buffer += data;
	for (let end; (end = buffer.indexOf('\0')) >= 0; buffer = buffer.slice(end + 1)) {
		const message = JSON.parse(buffer.slice(0, end));
		const call = waiting.get(message.id);
		if (!call) hear(message);
		else if (message.error) call.reject(new Error(message.error.message));
		else call.resolve(message.result);
	}
});

// What the page holds, as a reader sees it.
function look() {
	const text = node => node.innerText.trim();
	const found = { sections: {}, title: document.title, partial: !document.getElementById('partial').hidden,
		wider: document.documentElement.scrollWidth - document.documentElement.clientWidth, sticking_out: [], unlabelled: [] };
	for (const details of document.querySelectorAll('details')) details.open = true;
	for (const node of document.querySelectorAll('main *')) {
		const box = node.getBoundingClientRect();
		// what only screen readers see is a pixel wide
		if (box.width > 1 && (box.right > document.documentElement.clientWidth + 1 || box.left < -1) && !node.closest('caption, thead, svg')) found.sticking_out.push(node.tagName + ' ' + (node.textContent || '').slice(0, 40));
	}
	for (const node of document.querySelectorAll('section')) {
		const chart = node.querySelector('.chart'), svg = chart && chart.querySelector('svg');
		const box = svg && svg.getBoundingClientRect();
		found.sections[node.id] = {
			says: node.querySelector('.says') ? text(node.querySelector('.says')) : '',
			about: text(node.querySelector('p.quiet')),
			facts: [...node.querySelectorAll('dl div')].map(d => [text(d.children[0]), text(d.children[1])]),
			chart: chart && { label: chart.getAttribute('aria-label'), width: box && box.width, height: box && box.height, room: chart.clientWidth,
				drawn: svg && svg.querySelectorAll('path').length,
				// labels that leave the chart
				cut: svg ? [...svg.querySelectorAll('text')].filter(t => { const b = t.getBoundingClientRect(); return b.right > box.right + 1 || b.left < box.left - 1; }).map(t => t.textContent) : [] },
			columns: [...node.querySelectorAll('thead th')].map(c => c.textContent),
			rows: [...node.querySelectorAll('tbody tr')].map(row => [...row.children].map(cell => text(cell.querySelector('span'))))
		};
		const table = node.querySelector('table');
		if (table && !(table.caption && table.caption.textContent && table.querySelectorAll('tbody th[scope=row]').length === table.querySelectorAll('tbody tr').length)) found.unlabelled.push(node.id);
		if (chart && !(chart.getAttribute('role') === 'img' && chart.getAttribute('aria-label'))) found.unlabelled.push(node.id);
		if (node.querySelector('h2').id !== node.getAttribute('aria-labelledby')) found.unlabelled.push(node.id);
	}
	found.wider_open = document.documentElement.scrollWidth - document.documentElement.clientWidth;
	return found;
}

async function open(file, width, scheme) {
	said = [];
	requests = [];
	const isLoaded = new Promise(resolve => { loaded = resolve; });
	const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
	const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
	const page = (method, params) => call(method, params, sessionId);
	for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page(domain + '.enable');
	await page('Network.emulateNetworkConditions', { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
	await page('Emulation.setDeviceMetricsOverride', { width: Number(width), height: Number(HEIGHT), deviceScaleFactor: Number(SCALE), mobile: Number(width) < 500 });
	await page('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
	await page('Page.navigate', { url: 'file://' + path.resolve(file) });
	await isLoaded;
	if (PICTURE) {
		const { data } = await page('Page.captureScreenshot', { format: 'png' });
		fs.writeFileSync(PICTURE, Buffer.from(data, 'base64'));
	}
	const { result, exceptionDetails } = await page('Runtime.evaluate', { expression: `(${look})()`, returnByValue: true });
	if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
	// what is printed must be printable: Chromium makes a PDF of it
	const { data } = await page('Page.printToPDF', { paperWidth: 8.27, paperHeight: 11.69, preferCSSPageSize: true });
	if (PDF) fs.writeFileSync(PDF, Buffer.from(data, 'base64'));
	await call('Target.closeTarget', { targetId });
	return { ...result.value, width: Number(width), said, requests: requests.filter(url => !/^(file|data|about):/.test(url)), pdf_bytes: data.length };
}

async function main() {
	const found = [];
	for (let i = 2; i + 2 < process.argv.length; i += 3) found.push(await open(...process.argv.slice(i, i + 3)));
	return found;
}

let status = 0;
const limit = setTimeout(() => { console.error('the browser does not answer'); browser.kill('SIGKILL'); process.exit(1); }, 90000);
browser.on('error', error => { console.error(error.message); process.exit(1); });
main().then(found => console.log(JSON.stringify(found)), error => { console.error(error); status = 1; })
	.finally(() => { clearTimeout(limit); browser.on('exit', () => { fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }); process.exit(status); }); browser.kill(); });
