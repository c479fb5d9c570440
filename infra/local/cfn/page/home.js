// The quick-create page. Everything that comes from the link or the engine is put in as text, never as HTML.
'use strict';

const byId = (id) => document.getElementById(id);
const api = '/cloudformation/api/';
const region = new URLSearchParams(location.search).get('region') || '';
let timer = 0;
let shownStack = ''; // keeps a late answer from drawing over another route

async function call(path, body) {
  const response = await fetch(api + path, body && {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message || response.statusText);
  return answer;
}

function query(values) {
  return '?' + new URLSearchParams(values).toString();
}

function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function show(id) {
  for (const main of document.querySelectorAll('main[id]')) main.hidden = main.id !== id;
}

// crumb names the page: at the end of the way to it, and in the window's title.
function crumb(name) {
  byId('crumb').textContent = name;
  document.title = `${name} | CloudFormation`;
}

function signedIn(account) {
  byId('who').textContent = `Account ${account}`;
  byId('who').hidden = !account;
}

function complain(id, message) {
  const box = byId(id);
  box.textContent = message;
  box.hidden = !message;
  if (message && box.tabIndex === -1) box.focus();
}

// route reads "#/stacks/quickcreate?templateURL=…", "#/stacks/update/template?stackId=…&templateURL=…" or
// "#/stacks/events?stackId=…&account=…".
function route() {
  clearTimeout(timer);
  shownStack = '';
  const hash = location.hash.replace(/^#/, '');
  const at = hash.indexOf('?');
  const path = at < 0 ? hash : hash.slice(0, at);
  const values = new URLSearchParams(at < 0 ? '' : hash.slice(at + 1));
  byId('where').textContent = region;
  byId('who').hidden = true;
  if (path === '/stacks/events' && values.get('stackId')) return openStack(values.get('account'), values.get('stackId'));
  if (path === '/stacks/update/template' && !values.get('stackId')) return show('nothing');
  if (values.get('templateURL')) return openForm(values, path === '/stacks/update/template' ? values.get('stackId') : '');
  show('nothing');
}

let template = null;
let link = new URLSearchParams();
let updated = ''; // the id of the stack that the form updates; '' where it creates one
let given = new Map(); // that stack's parameters

async function openForm(values, stackId) {
  link = values;
  template = null;
  updated = stackId;
  given = new Map();
  show('quickcreate');
  byId('form-title').textContent = byId('form-title').dataset[updated ? 'update' : 'create'];
  crumb(byId('form-title').textContent);
  byId('create').textContent = updated ? 'Update stack' : 'Create stack';
  byId('account').readOnly = byId('stack-name').readOnly = Boolean(updated);
  complain('problem', '');
  byId('template-url').textContent = values.get('templateURL');
  byId('stack-name').value = values.get('stackName') || '';
  if (updated) {
    byId('account').value = updated.split(':')[4] || '';
    byId('stack-name').value = updated.split('/')[1] || '';
  }
  byId('acknowledge').checked = false;
  ready();
  try {
    if (updated) {
      const stack = await call('stacks' + query({ account: byId('account').value, region, stack: updated }));
      given = new Map(stack.given.map((p) => [p.key, p.value]));
    }
    template = await call('template' + query({ account: byId('account').value, region, templateURL: values.get('templateURL') }));
  } catch (error) {
    byId('template-description').textContent = '–';
    return complain('problem', error.message);
  }
  drawTemplate(values);
  ready();
}

function drawTemplate(values) {
  byId('template-description').textContent = template.description || '–';
  byId('template-resources').replaceChildren(...template.resources.map((r) => element('li', `${r.logicalId} (${r.type})`)));
  drawParameters(values);
  const named = template.capability === 'CAPABILITY_NAMED_IAM';
  byId('capabilities').hidden = !template.capability;
  byId('capability-types').textContent = `The following resource(s) require capabilities: [${(template.capableTypes || []).join(', ')}]`;
  byId('capability-text').textContent = 'This template contains Identity and Access Management (IAM) resources. Check that you want to create each of these resources and that they have the minimum required permissions.' +
    (named ? ' In addition, they have custom names. Check that the custom names are unique within your AWS account.' : '');
  byId('acknowledge-label').textContent = 'I acknowledge that AWS CloudFormation might create IAM resources' + (named ? ' with custom names.' : '.');
}

// drawParameters follows the groups that the template's author made, as the AWS console does.
function drawParameters(values) {
  const left = new Map(template.parameters.map((p) => [p.name, p]));
  const box = byId('parameters');
  box.replaceChildren();
  const draw = (label, names) => {
    const found = names.filter((name) => left.has(name));
    if (!found.length) return;
    const group = label ? element('fieldset') : element('div');
    if (label) group.append(element('legend', label));
    group.append(...found.map((name) => parameterField(left.get(name), values)));
    found.forEach((name) => left.delete(name));
    box.append(group);
  };
  template.groups.forEach((group) => draw(group.label, group.parameters));
  draw(template.groups.length ? 'Other parameters' : '', [...left.keys()]);
  if (!template.parameters.length) box.append(element('p', 'No parameters'));
}

function parameterField(p, values) {
  const field = element('div', undefined, 'field');
  const id = 'parameter-' + p.name;
  const label = element('label', p.label || p.name);
  label.htmlFor = id;
  field.append(label);
  let input;
  if (p.allowedValues && p.allowedValues.length) {
    input = element('select');
    input.append(...p.allowedValues.map((v) => new Option(v, v)));
  } else {
    input = element('input');
    input.type = p.noEcho ? 'password' : 'text';
    input.autocomplete = 'off';
    input.spellcheck = false;
  }
  input.id = id;
  input.name = p.name;
  input.dataset.parameter = p.name;
  // The AWS console, too, takes no NoEcho parameter from a link.
  const linked = p.noEcho ? null : values.get('param_' + p.name);
  input.value = linked === null ? p.default : linked;
  if (given.has(p.name)) {
    input.value = given.get(p.name);
    input.dataset.kept = p.noEcho ? 'yes' : ''; // its value is not shown, and stays unless another is typed
  }
  if (p.description) {
    const hint = element('p', p.description, 'hint');
    hint.id = id + '-hint';
    input.setAttribute('aria-describedby', hint.id);
    field.append(hint);
  }
  field.append(input);
  return field;
}

// ready allows Create stack once the template is there and what it takes is acknowledged.
function ready() {
  byId('create').disabled = !template || (Boolean(template.capability) && !byId('acknowledge').checked);
}

async function create(event) {
  event.preventDefault();
  const form = byId('form');
  if (byId('create').disabled || !form.reportValidity()) return;
  complain('problem', '');
  byId('create').disabled = true;
  const parameters = {};
  const kept = [];
  for (const input of form.querySelectorAll('[data-parameter]')) {
    if (input.dataset.kept && input.value === given.get(input.name)) kept.push(input.name);
    else parameters[input.dataset.parameter] = input.value;
  }
  const account = byId('account').value;
  try {
    const made = await call(updated ? 'stacks/update' : 'stacks', {
      account, region, stack: updated || byId('stack-name').value, templateURL: link.get('templateURL'), parameters, kept,
      acknowledged: byId('acknowledge').checked,
    });
    location.hash = '#/stacks/events' + query({ account, stackId: made.stackId });
  } catch (error) {
    complain('problem', error.message);
  }
  ready();
}

let current = {};

function openStack(account, id) {
  shownStack = id;
  const parts = id.split(':');
  current = { account: account || parts[4], region: region || parts[3], stack: id };
  show('stack');
  complain('stack-problem', '');
  byId('stack-title').textContent = (id.split('/')[1] || id);
  crumb(byId('stack-title').textContent);
  signedIn(current.account);
  byId('stack-title').focus();
  byId('events').replaceChildren();
  poll();
}

async function poll() {
  clearTimeout(timer);
  const asked = current;
  let done = false;
  try {
    const stack = await call('stacks' + query(asked));
    if (asked !== current || shownStack !== asked.stack) return;
    drawStack(stack);
    complain('stack-problem', '');
    done = stack.done;
  } catch (error) {
    if (asked !== current || shownStack !== asked.stack) return;
    complain('stack-problem', error.message);
  }
  if (!done) timer = setTimeout(poll, 1000);
}

function colour(status) {
  if (/FAILED$/.test(status) || /ROLLBACK/.test(status)) return 'bad';
  return /IN_PROGRESS$/.test(status) ? 'busy' : 'good';
}

function drawStack(stack) {
  byId('stack-title').textContent = stack.name;
  const status = byId('stack-status');
  if (status.textContent !== stack.status) {
    status.textContent = stack.status; // only changes, so that a screen reader says each once
    status.className = colour(stack.status);
  }
  byId('stack-reason').textContent = stack.reason || '–';
  byId('stack-id').textContent = stack.id;
  byId('delete').disabled = !stack.done || stack.status === 'DELETE_COMPLETE';
  byId('outputs-panel').hidden = !stack.outputs.length;
  byId('outputs').replaceChildren(...stack.outputs.flatMap((o) => [element('dt', o.key), element('dd', o.value)]));
  byId('event-count').textContent = `(${stack.events.length})`;
  drawEvents(stack.events);
}

// drawEvents adds only new events, on top, so that what is being read or selected stays.
function drawEvents(events) {
  const body = byId('events');
  const known = body.childElementCount;
  for (const e of events.slice(0, events.length - known).reverse()) {
    const row = element('tr');
    const at = element('td', new Date(e.at).toLocaleTimeString());
    at.title = e.at;
    const resource = element('td', e.logicalId);
    resource.append(element('span', e.type, 'small'));
    row.append(at, resource, element('td', e.status, colour(e.status)), element('td', e.reason));
    body.prepend(row);
  }
}

function confirmDelete() {
  const dialog = byId('confirm');
  dialog.returnValue = '';
  dialog.showModal();
}

async function remove() {
  if (byId('confirm').returnValue !== 'delete') return;
  try {
    await call('stacks/delete', current);
    poll();
  } catch (error) {
    complain('stack-problem', error.message);
  }
}

byId('form').addEventListener('submit', create);
byId('acknowledge').addEventListener('change', ready);
byId('delete').addEventListener('click', confirmDelete);
byId('confirm').addEventListener('close', remove);
window.addEventListener('hashchange', route);
route();
