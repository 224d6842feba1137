/**
 * What tests that run inside workerd are told: `inject("s3")` is where the S3 endpoint of them all is, since no server can be started
 * there; `inject("simulation")` the seeds that the environment asks for.
 */
import type { TestProject } from "vitest/node";
import type { S3Place } from "./s3-place.ts";
import { startS3Server } from "./s3-server.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startS3Server();
  const { endpoint, region, accessKeyId, secretAccessKey, bucket } = server;
  const place: S3Place = { endpoint, region, accessKeyId, secretAccessKey, bucket };
  project.provide("s3", place);
  project.provide("simulation", {
    from: Number(process.env["CAIRN_SIMULATION_FROM"] ?? 1),
    count: Number(process.env["CAIRN_SIMULATION_SEEDS"] ?? 8),
  });
  return () => server.close();
}
