// A handler of a few milliseconds, which sends nothing itself.

"use strict";

exports.handler = async (event) => {
  await new Promise((done) => setTimeout(done, event.ms));
  return "ok";
};
