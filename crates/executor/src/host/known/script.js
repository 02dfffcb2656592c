'use strict';
// What a script of actions/github-script finds. Nothing here speaks to a network: what is asked of
// the service is said, and fails.
const childProcess = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const crypto = require('node:crypto');
const { createRequire } = require('node:module');

const env = process.env;
const data = (text) => String(text).replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
const property = (text) => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');
const plain = (value) =>
  value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);

function command(name, properties, message) {
  const pairs = Object.entries(properties).filter(([, value]) => value !== undefined && value !== '');
  const shown = pairs.map(([key, value]) => `${key}=${property(value)}`).join(',');
  process.stdout.write(`::${name}${shown && ' ' + shown}::${data(message)}${os.EOL}`);
}

function append(variable, name, value) {
  const delimiter = `ghadelimiter_${crypto.randomUUID()}`;
  fs.appendFileSync(env[variable], `${name}<<${delimiter}\n${plain(value)}\n${delimiter}\n`);
}

class Summary {
  constructor() { this.text = ''; }
  addRaw(text, eol = false) { this.text += text; return eol ? this.addEOL() : this; }
  addEOL() { this.text += os.EOL; return this; }
  element(tag, content, attributes = {}) {
    const shown = Object.entries(attributes).filter(([, value]) => value)
      .map(([name, value]) => ` ${name}="${value}"`).join('');
    return content === null ? `<${tag}${shown}>` : `<${tag}${shown}>${content}</${tag}>`;
  }
  addCodeBlock(code, lang) {
    return this.addRaw(this.element('pre', this.element('code', code), { lang })).addEOL();
  }
  addList(items, ordered = false) {
    const list = items.map((item) => this.element('li', item)).join('');
    return this.addRaw(this.element(ordered ? 'ol' : 'ul', list)).addEOL();
  }
  addTable(rows) {
    const cell = (cell) => (typeof cell === 'string' ? this.element('td', cell)
      : this.element(cell.header ? 'th' : 'td', cell.data, { colspan: cell.colspan, rowspan: cell.rowspan }));
    const body = rows.map((row) => this.element('tr', row.map(cell).join(''))).join('');
    return this.addRaw(this.element('table', body)).addEOL();
  }
  addDetails(label, content) {
    return this.addRaw(this.element('details', this.element('summary', label) + content)).addEOL();
  }
  addImage(src, alt, options = {}) {
    return this.addRaw(this.element('img', null, { src, alt, ...options })).addEOL();
  }
  addHeading(text, level = 1) {
    const tag = [1, 2, 3, 4, 5, 6].includes(Number(level)) ? `h${level}` : 'h1';
    return this.addRaw(this.element(tag, text)).addEOL();
  }
  addSeparator() { return this.addRaw(this.element('hr', null)).addEOL(); }
  addBreak() { return this.addRaw(this.element('br', null)).addEOL(); }
  addQuote(text, cite) { return this.addRaw(this.element('blockquote', text, { cite })).addEOL(); }
  addLink(text, href) { return this.addRaw(this.element('a', text, { href })).addEOL(); }
  stringify() { return this.text; }
  isEmptyBuffer() { return this.text.length === 0; }
  emptyBuffer() { this.text = ''; return this; }
  async write(options = {}) {
    (options.overwrite ? fs.writeFileSync : fs.appendFileSync)(env.GITHUB_STEP_SUMMARY, this.text);
    return this.emptyBuffer();
  }
  async clear() { return this.emptyBuffer().write({ overwrite: true }); }
}

const annotation = (level) => (message, properties = {}) => command(level, {
  title: properties.title, file: properties.file, line: properties.startLine,
  endLine: properties.endLine, col: properties.startColumn, endColumn: properties.endColumn,
}, message instanceof Error ? message.toString() : message);

const core = {
  getInput(name, options = {}) {
    const value = env[`INPUT_${name.replace(/ /g, '_').toUpperCase()}`] || '';
    if (options.required && !value) throw new Error(`Input required and not supplied: ${name}`);
    return options.trimWhitespace === false ? value : value.trim();
  },
  getMultilineInput: (name, options) => core.getInput(name, options).split('\n').filter((line) => line !== ''),
  getBooleanInput(name, options) {
    const value = core.getInput(name, options);
    if (['true', 'True', 'TRUE'].includes(value)) return true;
    if (['false', 'False', 'FALSE'].includes(value)) return false;
    throw new TypeError(`Input does not meet YAML 1.2 "Core Schema" specification: ${name}`);
  },
  setOutput: (name, value) => append('GITHUB_OUTPUT', name, value),
  exportVariable(name, value) { env[name] = plain(value); append('GITHUB_ENV', name, value); },
  addPath(folder) {
    fs.appendFileSync(env.GITHUB_PATH, `${folder}\n`);
    env.PATH = `${folder}${path.delimiter}${env.PATH}`;
  },
  saveState: (name, value) => append('GITHUB_STATE', name, value),
  getState: (name) => env[`STATE_${name}`] || '',
  setSecret: (secret) => command('add-mask', {}, secret),
  setCommandEcho: (on) => command('echo', {}, on ? 'on' : 'off'),
  setFailed(message) { process.exitCode = 1; core.error(message); },
  isDebug: () => env.RUNNER_DEBUG === '1',
  debug: (message) => command('debug', {}, message),
  info: (message) => process.stdout.write(message + os.EOL),
  notice: annotation('notice'),
  warning: annotation('warning'),
  error: annotation('error'),
  startGroup: (name) => command('group', {}, name),
  endGroup: () => command('endgroup', {}, ''),
  async group(name, work) {
    core.startGroup(name);
    try { return await work(); } finally { core.endGroup(); }
  },
  summary: new Summary(),
  markdownSummary: undefined,
  toPosixPath: (file) => file.replace(/\\/g, '/'),
  toWin32Path: (file) => file.replace(/\//g, '\\'),
  toPlatformPath: (file) => file.replace(/[/\\]/g, path.sep),
  platform: { platform: os.platform(), arch: os.arch(), isLinux: true, isWindows: false, isMacOS: false },
};
core.markdownSummary = core.summary;

// As a shell takes a line apart, with quotes and without anything else.
function words(line) {
  const found = [];
  let word = '', quote = '', open = false;
  for (let at = 0; at < line.length; at += 1) {
    const c = line[at];
    if (c === '\\' && line[at + 1] === '"') { word += '"'; at += 1; open = true; }
    else if (quote) { if (c === quote) quote = ''; else word += c; }
    else if (c === '"') { quote = c; open = true; }
    else if (c === ' ') { if (open || word) found.push(word); word = ''; open = false; }
    else word += c;
  }
  if (open || word) found.push(word);
  return found;
}

function run(line, args = [], options = {}) {
  const [program, ...first] = words(line);
  if (!program) throw new Error("Parameter 'commandLine' cannot be null or empty.");
  const all = [...first, ...args];
  if (!options.silent) process.stdout.write(`[command]${[program, ...all].join(' ')}${os.EOL}`);
  return new Promise((resolve, reject) => {
    const child = childProcess.spawn(program, all, {
      cwd: options.cwd || process.cwd(), env: options.env || env, stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
    const listeners = options.listeners || {};
    const follow = (stream, to, listener, onLine) => {
      let rest = '';
      stream.on('data', (chunk) => {
        if (!options.silent) to.write(chunk);
        if (listener) listener(chunk);
        if (!onLine) return;
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop();
        lines.forEach((line) => onLine(line.replace(/\r$/, '')));
      });
      stream.on('end', () => { if (onLine && rest) onLine(rest); });
    };
    follow(child.stdout, process.stdout, listeners.stdout, listeners.stdline);
    follow(child.stderr, options.failOnStdErr ? process.stderr : process.stdout, listeners.stderr, listeners.errline);
    child.on('error', (error) => reject(new Error(
      `There was an error when attempting to execute the process '${program}': ${error.message}`)));
    child.on('close', (code, signal) => {
      const exit = code === null ? 128 + (os.constants.signals[signal] || 0) : code;
      if (exit !== 0 && !options.ignoreReturnCode) {
        reject(new Error(`The process '${program}' failed with exit code ${exit}`));
      } else {
        resolve(exit);
      }
    });
  });
}

const exec = {
  exec: run,
  async getExecOutput(line, args, options = {}) {
    const out = [], err = [];
    const given = options.listeners || {};
    const listeners = {
      ...given,
      stdout: (chunk) => { out.push(chunk); if (given.stdout) given.stdout(chunk); },
      stderr: (chunk) => { err.push(chunk); if (given.stderr) given.stderr(chunk); },
    };
    const exitCode = await run(line, args, { ...options, listeners });
    return { exitCode, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
  },
};

const io = {
  async cp(from, to, options = {}) {
    const into = fs.existsSync(to) && fs.statSync(to).isDirectory() && options.copySourceDirectory !== false;
    fs.cpSync(from, into ? path.join(to, path.basename(from)) : to,
      { recursive: options.recursive || false, force: options.force !== false });
  },
  async mv(from, to) {
    const into = fs.existsSync(to) && fs.statSync(to).isDirectory();
    fs.renameSync(from, into ? path.join(to, path.basename(from)) : to);
  },
  rmRF: async (target) => fs.rmSync(target, { recursive: true, force: true }),
  mkdirP: async (folder) => { fs.mkdirSync(folder, { recursive: true }); },
  async findInPath(tool) {
    const isProgram = (file) => {
      try { fs.accessSync(file, fs.constants.X_OK); return fs.statSync(file).isFile(); } catch { return false; }
    };
    return env.PATH.split(path.delimiter).map((folder) => path.join(folder, tool)).filter(isProgram);
  },
  async which(tool, check = false) {
    const [found] = await io.findInPath(tool);
    if (!found && check) throw new Error(`Unable to locate executable file: ${tool}`);
    return found || '';
  },
};

// `*`, `**`, `?` and `[a-z]`, as the toolkit's globs have them.
function pattern(text) {
  let made = '';
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (text.startsWith('**/', at)) { made += '(?:.*/)?'; at += 2; }
    else if (text.startsWith('**', at)) { made += '.*'; at += 1; }
    else if (c === '*') made += '[^/]*';
    else if (c === '?') made += '[^/]';
    else if (c === '[' && text.indexOf(']', at) > at) {
      const end = text.indexOf(']', at);
      made += `[${text.slice(at + 1, end).replace(/^!/, '^').replace(/\\/g, '\\\\')}]`;
      at = end;
    } else made += c.replace(/[.+^${}()|\\/[\]]/g, '\\$&');
  }
  return new RegExp(`^${made}$`);
}

const glob = {
  async create(text, options = {}) {
    const lines = text.split('\n').map((line) => line.trim()).filter((line) => line && !line.startsWith('#'));
    const rules = lines.map((line) => {
      const not = line.startsWith('!');
      const full = path.resolve(line.slice(not ? 1 : 0).replace(/^~(?=\/|$)/, env.HOME || '~'));
      return { not, match: pattern(full), below: options.implicitDescendants === false ? null : pattern(`${full}/**`) };
    });
    const roots = lines.filter((line) => !line.startsWith('!')).map((line) => {
      const full = path.resolve(line.replace(/^~(?=\/|$)/, env.HOME || '~'));
      const fixed = full.split('/');
      const end = fixed.findIndex((part) => /[*?[]/.test(part));
      return end < 0 ? full : fixed.slice(0, end).join('/') || '/';
    });
    const all = () => {
      const found = [], seen = new Set(), stack = [...new Set(roots)];
      while (stack.length) {
        const at = stack.pop();
        if (seen.has(at) || !fs.existsSync(at)) continue;
        seen.add(at);
        const selected = rules.reduce((on, rule) =>
          (rule.match.test(at) || (rule.below && rule.below.test(at)) ? !rule.not : on), false);
        const stat = fs.lstatSync(at);
        const isFolder = stat.isDirectory()
          || (stat.isSymbolicLink() && options.followSymbolicLinks !== false && fs.statSync(at).isDirectory());
        if (selected && !(isFolder && options.matchDirectories === false)) found.push(at);
        if (isFolder) fs.readdirSync(at).sort().reverse().forEach((name) => stack.push(path.join(at, name)));
      }
      return found.sort();
    };
    return {
      glob: async () => all(),
      async* globGenerator() { yield* all(); },
      getSearchPaths: () => [...new Set(roots)],
    };
  },
  async hashFiles(text) {
    const found = (await (await glob.create(text)).glob()).filter((file) => fs.statSync(file).isFile());
    const whole = crypto.createHash('sha256');
    for (const file of found) whole.update(crypto.createHash('sha256').update(fs.readFileSync(file)).digest());
    return found.length ? whole.digest('hex') : '';
  },
};

const payload = (() => {
  try { return JSON.parse(fs.readFileSync(env.GITHUB_EVENT_PATH, 'utf8')) || {}; } catch { return {}; }
})();
const [owner, repo] = (env.GITHUB_REPOSITORY || '/').split('/');
const number = (payload.issue || payload.pull_request || payload).number;
const context = {
  payload, eventName: env.GITHUB_EVENT_NAME, sha: env.GITHUB_SHA, ref: env.GITHUB_REF,
  workflow: env.GITHUB_WORKFLOW, action: env.GITHUB_ACTION, actor: env.GITHUB_ACTOR, job: env.GITHUB_JOB,
  runAttempt: Number(env.GITHUB_RUN_ATTEMPT), runNumber: Number(env.GITHUB_RUN_NUMBER),
  runId: env.GITHUB_RUN_ID, apiUrl: env.GITHUB_API_URL, serverUrl: env.GITHUB_SERVER_URL,
  graphqlUrl: env.GITHUB_GRAPHQL_URL, repo: { owner, repo }, issue: { owner, repo, number },
};

function undelivered(call, parameters) {
  const shown = parameters === undefined ? '' : ` ${JSON.stringify(parameters)}`;
  command('notice', { title: 'Not delivered' }, `${call}${shown}`);
  const error = new Error(`not delivered: ${call} asks something of the service, and nothing here speaks to it`);
  error.status = 501;
  throw error;
}

// Any name below is a call, and any call fails.
function remote(name) {
  return new Proxy(function call() {}, {
    get: (_, key) => (typeof key === 'symbol' || key === 'then' || key === 'toJSON' ? undefined : remote(`${name}.${key}`)),
    apply: (_, __, args) => (async () => undelivered(name, args[0]))(),
  });
}

const github = remote('github');
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
const workspaceRequire = createRequire(path.join(process.cwd(), 'script.js'));
const scriptRequire = (name) => {
  const own = { '@actions/core': core, '@actions/exec': exec, '@actions/io': io, '@actions/glob': glob,
    '@actions/github': { context, getOctokit: () => github } };
  return own[name] || workspaceRequire(name);
};

async function main() {
  const script = fs.readFileSync(env.GRIT_SCRIPT, 'utf8');
  const encoding = env.GRIT_RESULT_ENCODING;
  delete env.GRIT_SCRIPT;
  delete env.GRIT_RESULT_ENCODING;
  const names = { github, octokit: github, getOctokit: () => github, context, core, exec, glob, io,
    require: scriptRequire, __original_require__: require };
  const work = new AsyncFunction(...Object.keys(names), script);
  const result = await work(...Object.values(names));
  if (encoding === 'json') core.setOutput('result', result === undefined ? '' : JSON.stringify(result));
  else if (encoding === 'string') core.setOutput('result', String(result));
  else throw new Error('"result-encoding" must be either "string" or "json"');
}

const failed = (error) => {
  process.stderr.write(`${error && error.stack ? error.stack : error}${os.EOL}`);
  core.setFailed(`Unhandled error: ${error}`);
};
process.on('unhandledRejection', failed);
main().catch(failed);
