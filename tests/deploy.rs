//! What people deploy with, checked by the tools that they deploy with: the template, and every page of docs/deploy.
//!
//! `make deploy-test` installs those tools first, and then insists that nothing is skipped that it could install.

mod deploy {
    mod bill;
    mod blocks;
    mod cdk;
    mod dashboards;
    mod image;
    mod sam;
    mod serverless;
    mod terraform;
    mod tools;
    mod typed;
}
