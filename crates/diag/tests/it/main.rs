mod decode;
mod json;
mod render;
mod yaml;
mod yaml_hostile;
