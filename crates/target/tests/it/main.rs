mod adopting;
mod contract;
mod ensuring;
mod ground;
mod stopping;
mod supervising;
mod world;
