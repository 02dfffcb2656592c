mod checking_out;
mod contract;
mod ending;
mod ground;
mod logging;
mod recovering;
mod scripts;
mod world;
