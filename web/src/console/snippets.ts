import { LitElement, html, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Connection } from '../api/client.js';
import { snippet } from '../parts/fix.js';

interface Use {
  /** Of this connection's credentials. */
  url: string;
  connection: Connection;
  region: string;
  readOnly: boolean;
}

interface Way {
  name: string;
  words: string;
  text: (u: Use) => string;
  /** Whether this way can ask for less than the role may do. */
  narrows?: boolean;
}

const file = '/run/rolecall/token';
const holds = `The file ${file} holds the word Bearer, a space and a token of your identity provider with the scope credentials:issue. Credentials are renewed by themselves.`;
const withToken = 'With an access token with the scope credentials:issue in the variable TOKEN.';

/** The ways to use a connection, each ready to be pasted. A token of a service goes into a file, never into a command. */
const ways: Way[] = [
  {
    name: 'Any SDK',
    words: `Every AWS SDK and the AWS CLI read these variables. ${holds}`,
    text: (u) => `export AWS_CONTAINER_CREDENTIALS_FULL_URI=${u.url}\nexport AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=${file}\nexport AWS_REGION=${u.region} AWS_DEFAULT_REGION=${u.region}`,
  },
  {
    name: 'Python',
    words: `boto3. ${holds}`,
    text: (u) => `import os\nimport boto3\n\nos.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "${u.url}"\nos.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "${file}"\nsts = boto3.Session(region_name="${u.region}").client("sts")\nprint(sts.get_caller_identity()["Account"])`,
  },
  {
    name: 'JavaScript',
    words: `AWS SDK for JavaScript v3, with @aws-sdk/credential-providers. ${holds}`,
    text: (u) => `import { fromHttp } from '@aws-sdk/credential-providers';\nimport { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';\n\nconst credentials = fromHttp({\n  awsContainerCredentialsFullUri: '${u.url}',\n  awsContainerAuthorizationTokenFile: '${file}',\n});\nconst sts = new STSClient({ region: '${u.region}', credentials });\nconsole.log((await sts.send(new GetCallerIdentityCommand({}))).Account);`,
  },
  {
    name: 'Go',
    words: `AWS SDK for Go v2, with its modules config and credentials. ${holds}`,
    text: (u) => `token := endpointcreds.TokenProviderFunc(func() (string, error) {\n\tb, err := os.ReadFile("${file}")\n\treturn strings.TrimSpace(string(b)), err\n})\nprovider := endpointcreds.New("${u.url}", func(o *endpointcreds.Options) {\n\to.AuthorizationTokenProvider = token\n})\ncfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("${u.region}"), config.WithCredentialsProvider(provider))`,
  },
  {
    name: 'rolecall',
    words: 'For people: the program rolecall, after rolecall login. Any command, and its credentials never touch the disk.',
    text: (u) => `rolecall exec ${quoted(u.connection.name)} --region ${u.region} -- aws sts get-caller-identity`,
  },
  {
    name: 'Profile',
    words: 'For people: in ~/.aws/config, for every tool that knows profiles, after rolecall login.',
    text: (u) => `[profile ${profile(u.connection.name)}]\ncredential_process = rolecall credential-process ${quoted(u.connection.name, '"')}\nregion = ${u.region}`,
  },
  {
    name: 'Shell',
    words: `Credentials for this shell, which last 30 minutes. ${withToken}`,
    text: (u) => `eval "$(${curl(u, '?format=env')})"\naws sts get-caller-identity`,
    narrows: true,
  },
  {
    name: 'HTTP',
    words: `For everything else. ${withToken}`,
    text: (u) => curl(u, ''),
    narrows: true,
  },
];

/** curl asks for credentials; where they are to differ from the role's own, by POST. */
function curl(u: Use, query: string): string {
  const body = { ...(u.readOnly && { readOnly: true }), ...(u.region !== u.connection.defaultRegion && { region: u.region }) };
  const post = Object.keys(body).length ? ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'` : '';
  return `curl -fsS -H "Authorization: Bearer $TOKEN"${post} '${u.url}${query}'`;
}

/** quoted is a name as one word of a command. */
function quoted(name: string, mark = "'"): string {
  if (/^[\w.-]+$/.test(name)) return name;
  return mark === '"' ? `"${name.replace(/["\\]/g, '\\$&')}"` : `'${name.replaceAll("'", `'\\''`)}'`;
}

/** profile is a name of a profile that needs no quotes. */
function profile(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9.-]+/g, '-').replace(/^-+|-+$/g, '') || 'customer';
}

class CredentialSnippets extends LitElement {
  @property({ attribute: false }) connection!: Connection;
  @property() base = '';
  @state() private chosen = 0;
  @state() private region = '';
  @state() private readOnly = false;

  protected override createRenderRoot(): this {
    return this;
  }

  override render() {
    const c = this.connection;
    const url = new URL(`/v1/connections/${c.id}/credentials`, this.base || location.href).href;
    const way = ways[this.chosen] ?? ways[0]!;
    const region = this.region || c.defaultRegion;
    const regions = [...new Set([c.defaultRegion, ...c.regions])];
    return html`<section class="panel"><header><h2>Use it</h2></header><div class="in">
      ${c.status === 'enabled' ? '' : html`<p class="soft">Credentials are issued once the connection is enabled.</p>`}
      <div class="row">
        <div><label for="use-region">Region</label><select id="use-region" @change=${(e: Event) => (this.region = (e.target as HTMLSelectElement).value)}>${regions.map((r) => html`<option value=${r} ?selected=${r === region}>${r}</option>`)}</select></div>
        <div><label><input type="checkbox" .checked=${this.readOnly} @change=${(e: Event) => (this.readOnly = (e.target as HTMLInputElement).checked)}> Read only</label></div>
      </div>
      <div class="tabs" role="tablist" aria-label="Ways to use the connection">${ways.map((w, i) => this.tab(w, i))}</div>
      <div role="tabpanel" id="way" aria-labelledby="way-${this.chosen}"><p class="soft small">${way.words}</p>
        ${this.readOnly && !way.narrows ? html`<p class="small" role="status">This way cannot ask for less than the role may do: for read-only credentials take Shell or HTTP.</p>` : ''}
        ${snippet(way.name, way.text({ url, connection: c, region, readOnly: this.readOnly }), 'Copy')}</div>
    </div></section>`;
  }

  private tab(w: Way, i: number): TemplateResult {
    const on = i === this.chosen;
    return html`<button type="button" role="tab" id="way-${i}" aria-controls="way" aria-selected=${on ? 'true' : 'false'} tabindex=${on ? 0 : -1}
      @click=${() => (this.chosen = i)} @keydown=${this.keyed}>${w.name}</button>`;
  }

  private keyed(e: KeyboardEvent): void {
    const step = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    this.chosen = (this.chosen + step + ways.length) % ways.length;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(`#way-${this.chosen}`)?.focus());
  }
}

customElements.define('credential-snippets', CredentialSnippets);
