import Foundation
import Testing

/// Something that a test needs and not every machine allows: a script in `Tests/Support` that sets it
/// up around a command, and says with status 77 why it can't.
struct Facility: Sendable {
  /// The script's path.
  let path: String
  /// Why it can't be had here; nil if it can.
  let obstacle: String?

  private init(_ name: String, _ check: [String] = ["--check"]) {
    path = repository.appending(path: "Tests/Support/" + name).path
    do {
      let outcome = try Job.run(path, check, timeLimit: 60)
      let reason = outcome.standardError.split(separator: "\n").last.map(String.init)
      obstacle = outcome.status == 77 ? reason ?? "\(name) can't run here" : nil
    } catch {
      obstacle = "\(error)"
    }
    if let obstacle {
      FileHandle.standardError.write(Data("tests are skipped: \(obstacle)\n".utf8))
    }
  }

  /// A Slurm of one node, for as long as a command runs.
  static let slurm = Facility("local-slurm")
  /// The same, whose srun makes ranks of tasks.
  static let slurmWithPMIx = Facility(
    "local-slurm",
    [
      "bash", "-c",
      "srun --mpi=list 2>&1 | grep -qw pmix || { echo 'Slurm here has no PMIx' >&2; exit 77; }",
    ])
  /// A quota of processor time for a command.
  static let quota = Facility("processor-quota")
  /// Several hosts with networks of their own, for as long as a command runs.
  static let hosts = Facility("virtual-hosts")
}

extension Trait where Self == ConditionTrait {
  /// Skips the test where the facility can't be had; standard error has the reason.
  static func needs(_ facility: @autoclosure @escaping @Sendable () -> Facility) -> Self {
    .enabled(if: facility().obstacle == nil, "this machine can't do what the test needs")
  }
}
