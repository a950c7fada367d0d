import FaceShards
import Foundations

/// The manipulation methods that a training leaves out, `data.exclude_methods`.
package struct MethodExclusion {
  private let names: Set<String>

  /// - Parameters:
  ///   - names: the methods that are left out.
  ///   - known: names of the methods that the training shards list.
  ///   - setting: where the names come from, for the error.
  /// - Throws: ``UnknownMethod`` for a name that is not among them; "real" is no method.
  package init(
    _ names: [String], among known: [String], setting: String = "data.exclude_methods"
  ) throws {
    let methods = Set(known).subtracting([ShardFormat.real]).sorted()
    for name in names where !methods.contains(name) {
      throw UnknownMethod(setting: setting, name: name, known: methods)
    }
    self.names = Set(names)
  }

  /// Whether a sample of a set was made by none of the methods.
  func includes(_ sample: Int, of set: ShardSet) -> Bool {
    names.isEmpty || set.labels[sample] == 0
      || !names.contains(set.methodNames[Int(set.methods[sample])])
  }

  /// Numbers of the samples of a set that were made by none of the methods, ascending.
  func samples(of set: ShardSet) -> [Int] { (0..<set.count).filter { includes($0, of: set) } }

  /// No shard lists the method.
  struct UnknownMethod: ReportableError, Equatable {
    let setting: String
    let name: String
    let known: [String]

    var description: String {
      let near = nearest(to: name, among: known).map { "; did you mean '\(printable($0))'?" } ?? "."
      return "\(setting): no shard has a method '\(printable(name))'\(near) They have: "
        + known.map { printable($0) }.joined(separator: ", ")
    }
    var exitStatus: ExitStatus { .badData }
  }

  /// Every image is excluded.
  struct NothingLeft: ReportableError, Equatable {
    let file: String
    var description: String {
      "\(file): data.exclude_methods leaves no image, here or in the other training shards"
    }
    var exitStatus: ExitStatus { .badData }
  }
}
