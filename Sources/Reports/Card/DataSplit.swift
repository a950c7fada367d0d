import Configuration
import FaceShards
import MessagePassing

/// What the shards of a run's split hold.
public struct DataSplit: Sendable, Equatable {
  /// "training", "validation" or "test".
  public var name: String
  /// Patterns of the shards.
  public var patterns: [String]
  /// Nil where they can't be read.
  public var contents: Contents?

  public struct Contents: Sendable, Equatable {
    public var real: Int
    /// Fakes of each method, by its name.
    public var fakes: [String: Int]
    /// Sources (videos or identities); nil where not every image names one.
    public var sources: Int?
    public var height: Int
    public var width: Int
    /// How faces were cut out, as the shards say it.
    public var preprocessing: String?
  }

  /// The splits that a configuration names.
  static func all(of configuration: Configuration?) -> [DataSplit] {
    guard let data = configuration?.data else { return [] }
    return [("training", data.train), ("validation", data.validation), ("test", data.test)]
      .compactMap { name, patterns in
        patterns.isEmpty
          ? nil : DataSplit(name: name, patterns: patterns, contents: contents(patterns))
      }
  }

  private static func contents(_ patterns: [String]) -> Contents? {
    guard let set = try? ShardSet(patterns: patterns) else { return nil }
    // Shard after shard: a data set's texts together may be large.
    var sources: Set<String>? = []
    for shard in set.shards {
      guard let names = try? shard.readSources(), !names.contains("") else {
        sources = nil
        break
      }
      sources?.formUnion(names)
      shard.close()
      RankStatus.progress()
    }
    var fakes: [String: Int] = [:]
    for sample in 0..<set.count where set.labels[sample] == 1 {
      fakes[set.methodNames[Int(set.methods[sample])], default: 0] += 1
    }
    return Contents(
      real: set.labels.count { $0 == 0 }, fakes: fakes,
      sources: sources?.count, height: set.height,
      width: set.width, preprocessing: set.preprocessing?.text)
  }
}
