// Answers three questions about CloudTrail files with DuckDB, on one thread:
//
//   node questions.mjs lines|records GLOB once|each
//
// "lines" are records one a line, "records" CloudTrail's files. The files are
// read once, into a table of what the questions need, or for each question. The
// first line says how many microseconds of CPU time went by before any file was
// read. Then, for each answer, a line says how many rows it has and the largest
// value in it.
import { DuckDBInstance } from '@duckdb/node-api';

const [form, glob, mode] = process.argv.slice(2);
const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const db = await instance.connect();
const { user, system } = process.cpuUsage();
console.log(user + system);

const fields = {
  eventTime: 'TIMESTAMP',
  eventSource: 'VARCHAR',
  eventName: 'VARCHAR',
  sourceIPAddress: 'VARCHAR',
  userIdentity: 'STRUCT("type" VARCHAR, arn VARCHAR, principalId VARCHAR, sessionContext STRUCT(sessionIssuer STRUCT(arn VARCHAR)))',
};
const read = (columns) => {
  const list = Object.entries(columns).map(([name, type]) => `${name}: '${type}'`);
  return `read_json('${glob}', format = 'newline_delimited', columns = {${list}})`;
};
const record = `STRUCT(${Object.entries(fields).map(([name, type]) => `${name} ${type}`)})`;
const rows = form === 'lines' ? read(fields) : `(SELECT unnest(Records, max_depth := 2) FROM ${read({ Records: `${record}[]` })})`;
const calls = `
  SELECT eventTime AS time, eventSource || ':' || eventName AS call, sourceIPAddress AS address,
    coalesce(userIdentity.sessionContext.sessionIssuer.arn, userIdentity.arn, userIdentity.principalId) AS principal
  FROM ${rows}
  WHERE userIdentity."type" <> 'AWSService'`;

let source = `(${calls})`;
if (mode === 'once') {
  await db.run(`CREATE TABLE calls AS ${calls}`);
  source = 'calls';
}
const questions = [
  // distinct calls per principal per 5 minutes
  `SELECT principal, time_bucket(INTERVAL 5 MINUTES, time) AS slot, count(DISTINCT call) AS value FROM ${source} GROUP BY ALL`,
  // when each principal's addresses were first seen
  `SELECT principal, address, epoch(min(time))::BIGINT AS value FROM ${source} GROUP BY ALL`,
  // GetObject calls per principal per minute
  `SELECT principal, time_bucket(INTERVAL 1 MINUTE, time) AS slot, count(*) AS value
    FROM ${source} WHERE call = 's3.amazonaws.com:GetObject' GROUP BY ALL`,
];
for (const question of questions) {
  const answer = await db.runAndReadAll(`SELECT count(*), max(value) FROM (${question})`);
  console.log(answer.getRows()[0].join(' '));
}
