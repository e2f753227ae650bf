#!/usr/bin/env node
// Builds the addon with Vulkan, in build-vulkan/, and runs the *.vulkan.ts tests on Mesa's lavapipe, a Vulkan device that is
// a program on the CPU. Fails where there is none. (Debian: apt-get install mesa-vulkan-drivers vulkan-validationlayers
// libvulkan-dev spirv-headers)
//
//   node scripts/test-vulkan.mjs [WORD ...]   the tests whose path contains one of the words
//
// VK_DRIVER_FILES names the driver of another device; VULKAN_SDK an SDK to build with, in place of vulkan-toolchain.mjs.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, root } from './build.mjs';
import { makeVulkanToolchain, vulkanArguments } from './vulkan-toolchain.mjs';

const DRIVERS = '/usr/share/vulkan/icd.d';

function findLavapipe() {
  const files = existsSync(DRIVERS) ? readdirSync(DRIVERS) : [];
  const file = files.find((name) => /^lvp_icd\..*json$/.test(name));
  if (file) return join(DRIVERS, file);
  throw new Error(`Expected Mesa's lavapipe in ${DRIVERS}. Install it: apt-get install mesa-vulkan-drivers`);
}

try {
  const drivers = process.env.VK_DRIVER_FILES ?? findLavapipe();
  if (!process.env.VULKAN_SDK) {
    const toolchain = join(root, 'build-vulkan', 'toolchain');
    makeVulkanToolchain(toolchain);
    const given = process.env.NODE_DIFFUSION_CMAKE_ARGS ?? '';
    process.env.NODE_DIFFUSION_CMAKE_ARGS = [given, ...vulkanArguments(toolchain)].join(' ');
  }
  build({ preset: 'vulkan', vulkan: true });
  const env = {
    ...process.env,
    NODE_DIFFUSION_PREBUILD: join(root, 'build-vulkan'),
    VK_DRIVER_FILES: drivers,
    // ggml passes over programs on the CPU unless they are named.
    GGML_VK_VISIBLE_DEVICES: '0',
  };
  const args = [join(root, 'scripts', 'test.mjs'), '--vulkan', ...process.argv.slice(2)];
  process.exitCode = spawnSync(process.execPath, args, { env, stdio: 'inherit' }).status ?? 1;
} catch (error) {
  console.error(`node-diffusion: ${error.message}`);
  process.exitCode = 1;
}
