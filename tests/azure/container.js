// Makes a container in Azurite, with the account and key that it has for everybody: node container.js PORT CONTAINER
const [port, container] = process.argv.slice(2);
const account = 'devstoreaccount1';
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-08-06' };
const said = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('');
// Eleven standard headers that this request does not have come between the method and ours.
const text = `PUT${'\n'.repeat(12)}${said}/${account}/${account}/${container}\nrestype:container`;
const signature = require('crypto').createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
headers.Authorization = `SharedKey ${account}:${signature}`;
headers['Content-Length'] = 0;
const path = `/${account}/${container}?restype=container`;
require('http').request({ host: '127.0.0.1', port, method: 'PUT', path, headers }, answer => {
  process.exitCode = answer.statusCode === 201 ? 0 : 1;
  answer.pipe(process.stderr);
}).end();
