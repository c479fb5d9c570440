// An unmodified service: the SDK's own default chain, and nothing of Rolecall's. It makes five calls, waits until its
// credentials are about to end, and makes five more.
import { setTimeout } from "node:timers/promises";
import { DescribeRegionsCommand, EC2Client } from "@aws-sdk/client-ec2";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { defaultProvider } from "@aws-sdk/credential-provider-node";

const credentials = defaultProvider();
const ec2 = new EC2Client({ credentials });
const sts = new STSClient({ credentials });

let account;
let regions;
for (const pause of [Number(process.argv[2]), 0]) {
  for (let i = 0; i < 3; i++) {
    account = (await sts.send(new GetCallerIdentityCommand({}))).Account;
  }
  for (let i = 0; i < 2; i++) {
    regions = (await ec2.send(new DescribeRegionsCommand({}))).Regions.length;
  }
  await setTimeout(pause * 1000);
}
console.log(regions > 0, account);
