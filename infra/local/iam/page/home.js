// The create-role page. Everything that comes from the link or from IAM is put in as text, never as HTML.
'use strict';

const byId = (id) => document.getElementById(id);
let link = new URLSearchParams();

function show(id) {
  for (const main of document.querySelectorAll('main[id]')) main.hidden = main.id !== id;
}

function complain(message) {
  const box = byId('problem');
  box.textContent = message;
  box.hidden = !message;
  if (message) box.focus();
}

// route reads "#/roles/create?awsAccount=…&externalId=…&policies=…".
function route() {
  const hash = location.hash.replace(/^#/, '');
  const at = hash.indexOf('?');
  link = new URLSearchParams(at < 0 ? '' : hash.slice(at + 1));
  if (!hash.startsWith('/roles/create?') || !link.get('awsAccount')) return show('nothing');
  byId('trusted').textContent = link.get('awsAccount');
  byId('external').textContent = link.get('externalId') || '–';
  byId('policies').replaceChildren(...link.getAll('policies').map((arn) => {
    const item = document.createElement('li');
    item.textContent = arn;
    return item;
  }));
  complain('');
  show('create');
}

async function create(event) {
  event.preventDefault();
  if (!byId('form').reportValidity()) return;
  byId('submit').disabled = true;
  complain('');
  try {
    const response = await fetch('/iam/api/roles', {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        account: byId('account').value, name: byId('name').value, trustedAccount: link.get('awsAccount'),
        externalId: link.get('externalId') || '', policies: link.getAll('policies'),
      }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message || response.statusText);
    byId('arn').textContent = answer.roleArn;
    show('done');
    byId('done-title').focus();
  } catch (error) {
    complain(error.message);
  } finally {
    byId('submit').disabled = false;
  }
}

byId('form').addEventListener('submit', create);
window.addEventListener('hashchange', route);
route();
