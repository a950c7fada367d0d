import FaceShards

/// What a synthetic data set will hold, worked out before anything is drawn: every picture's number,
/// identity and method, the split it belongs to, and the shard that it goes to.
///
/// An identity has as many real pictures as forged ones, one forgery by each method, and is in one
/// split only; so is everyone who lends a face to a swap, because donors appear nowhere else. Methods
/// are therefore balanced in every split. Pictures are numbered identity by identity, real and forged
/// in turn, and identities are alike in distribution, so splits and shards are ranges of numbers.
public struct SynthesisPlan: Sendable {
  /// One picture to make.
  public struct Picture: Sendable, Equatable {
    public var number: Int
    public var identity: Int
    /// Nil for a real picture.
    public var method: ForgeryMethod?
    /// What the shard names as the picture's source.
    public var source: String {
      let digits = String(identity)
      return "identity-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }
  }

  /// One shard to write.
  public struct PlannedShard: Sendable {
    public var fileName: String
    public var pictures: [Picture]
  }

  public static let splitNames = ["train", "validation", "test"]

  public let methods: [ForgeryMethod]
  /// Number of identities in each of `splitNames`.
  public let identities: [Int]
  /// All shards, in the order of `splitNames`.
  public let shards: [PlannedShard]

  /// Number of pictures.
  public var count: Int { shards.reduce(0) { $0 + $1.pictures.count } }

  /// Names as shards list them: "real", then the methods.
  public var methodNames: [String] { [ShardFormat.real] + methods.map(\.rawValue) }

  /// The fewest pictures of each class that give every split one of every method.
  public static func fewestImagesPerClass(methods: Int = ForgeryMethod.allCases.count) -> Int {
    3 * methods
  }

  /// - Parameters:
  ///   - imagesPerClass: real pictures in all splits together, and as many forged ones; at least
  ///     ``fewestImagesPerClass(methods:)``.
  ///   - imagesPerShard: the most pictures in one file.
  public init(
    imagesPerClass: Int, imagesPerShard: Int, methods: [ForgeryMethod] = ForgeryMethod.allCases
  ) {
    let each = methods.count
    precondition(
      imagesPerClass >= Self.fewestImagesPerClass(methods: each) && imagesPerShard > 0,
      "SynthesisPlan: expected at least \(3 * each) images a class and a positive shard size")
    self.methods = methods
    let total = (imagesPerClass + each - 1) / each
    // 70, 15 and 15 in a hundred identities, at least one each.
    let held = max(1, (15 * total + 50) / 100)
    identities = [total - 2 * held, held, held]

    var shards: [PlannedShard] = []
    var first = 0
    for (split, name) in Self.splitNames.enumerated() {
      var pictures: [Picture] = []
      for identity in first..<(first + identities[split]) {
        // The first identity, who is in the training split, has the remainder.
        let pairs = identity == 0 ? imagesPerClass - (total - 1) * each : each
        for pair in 0..<pairs {
          let number = 2 * (identity * each + pair)
          let method = methods[(pair + identity) % each]
          pictures.append(Picture(number: number, identity: identity, method: nil))
          pictures.append(Picture(number: number + 1, identity: identity, method: method))
        }
      }
      first += identities[split]
      let files = (pictures.count + imagesPerShard - 1) / imagesPerShard
      for file in 0..<files {
        let range = (pictures.count * file / files)..<(pictures.count * (file + 1) / files)
        let digits = String(file)
        let index = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        shards.append(
          PlannedShard(fileName: "\(name)-\(index).h5", pictures: Array(pictures[range])))
      }
    }
    self.shards = shards
  }

  /// The shards that part `part` of `parts` writes: the largest first, each to the part that has least
  /// to do, so that all parts are done at about the same time. Every shard falls to exactly one part.
  public func shards(part: Int, of parts: Int) -> [PlannedShard] {
    precondition((0..<parts).contains(part), "SynthesisPlan: expected a part of 0..<\(parts)")
    var load = [Int](repeating: 0, count: parts)
    var mine: [PlannedShard] = []
    let order = shards.indices.sorted {
      (shards[$1].pictures.count, $0) < (shards[$0].pictures.count, $1)
    }
    for index in order {
      let target = load.indices.min { (load[$0], $0) < (load[$1], $1) }!
      load[target] += shards[index].pictures.count
      if target == part { mine.append(shards[index]) }
    }
    return mine
  }
}
