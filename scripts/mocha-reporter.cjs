/** @file mocha's spec reporter, closed by one plain line that CI reads: `N passed, N failed`. */
const { reporters } = require('mocha');

module.exports = class Reporter extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures } = this.stats;
    process.stdout.write(`${passes} passed, ${failures} failed\n`);
  }
};
