//! An adaptive limit follows what a simulated service bears.
use super::simulation::*;
use crate::Concurrency;

#[test]
fn print() {
    for overload in [Overload::Queues, Overload::Rejects] {
    for noise in [Noise::None, Noise::Uniform, Noise::Exponential, Noise::Hangs] {
            let mut worst = vec![(0usize, 9f64, 0f64, 9f64); 4];
            for seed in 0..50 {
                let mut s = Simulation::new(&Concurrency::adaptive(), overload, noise, seed);
                for (i, capacity) in [20usize, 5, 50, 50].into_iter().enumerate() {
                    s.capacity = capacity;
                    if i == 3 { s.latency *= 3; }
                    let limits = s.run(300);
                    let part = |l: f64| l / capacity as f64;
                    let hit = limits.iter().position(|&l| (0.75..=1.5).contains(&part(l as f64))).unwrap_or(999);
                    let tail = &limits[100..];
                    let mean = part(tail.iter().sum::<usize>() as f64 / tail.len() as f64);
                    let used = tail.iter().map(|&l| part(l as f64).min(1.0)).sum::<f64>() / tail.len() as f64;
                    let w = &mut worst[i];
                    *w = (w.0.max(hit), w.1.min(mean), w.2.max(mean), w.3.min(used));
                }
            }
            println!("{noise:?} {overload:?} {worst:.2?}");
        }
    }
}

#[test]
fn trace() {
    let mut worst = (0, 0);
    for seed in 0..50 {
        let mut s = Simulation::new(&Concurrency::adaptive(), Overload::Queues, Noise::Hangs, seed);
        s.capacity = 20; s.run(300); s.capacity = 5;
        let hit = s.run(300).iter().position(|&l| l <= 7).unwrap_or(999);
        worst = worst.max((hit, seed));
    }
    println!("worst {worst:?}");
        let mut s = Simulation::new(&Concurrency::adaptive(), Overload::Queues, Noise::Hangs, worst.1);
        s.capacity = 20; s.run(300); s.capacity = 5;
    #[expect(unsafe_code)]
    unsafe { std::env::set_var("TRACE", "1") };
        s.run(150);
}
