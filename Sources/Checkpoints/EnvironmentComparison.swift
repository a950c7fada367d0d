import Foundation
import Foundations

extension RunEnvironment {
  /// What decides the last bits of results, and what it is for people.
  private static let deciding: [(key: String, name: String)] = [
    ("arithmetic", "order of sums"), ("kernels", "kernels"),
    ("float32_multiply", "float32 multiply"), ("bfloat16_multiply", "bfloat16 multiply"),
    ("onednn", "oneDNN"), ("openblas", "OpenBLAS"),
    ("mpi", "MPI"),
  ]

  /// What the run so far was computed with and this part of it is not, a line each. Of such a run nobody
  /// can say that it ends with the bits of one that was left alone.
  ///
  /// - Parameter record: the `environment.json` of the part before; what it does not tell is not compared,
  ///   but for the arithmetic, which was 1 before it was written down.
  public func changes(since record: JSON) -> [String] {
    guard let before = record["versions"] else { return [] }
    let now = JSON.object(versions)
    return Self.deciding.compactMap { key, name in
      func text(_ value: JSON?) -> String? { value.flatMap { $0.textValue ?? (try? $0.line()) } }
      let old = text(before[key]) ?? (key == "arithmetic" ? "1" : nil)
      guard let old, let new = text(now[key]), old != new else { return nil }
      return "\(name): \(printable(old)) before, \(new) now"
    }
  }
}

extension RunFolder {
  /// The record of the run's part before; nil where there is none that can be read.
  public var environment: JSON? {
    FileManager.default.contents(atPath: environmentPath).flatMap { try? JSON(parsing: $0) }
  }
}
