use taskscope::Group;

// A struct that tasks own keeps a clone, `Group<'static, E>`.
struct Client {
    g: Group,
}

fn main() {}
