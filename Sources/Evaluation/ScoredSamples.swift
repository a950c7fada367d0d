/// Samples with their scores: images, or what several images make up together, such as a video.
public struct ScoredSamples: Sendable {
  /// Of each sample, finite: a probability of fake where a threshold is to mean something.
  public internal(set) var scores: [Double]
  /// 0 real, 1 fake.
  public internal(set) var labels: [UInt8]
  /// Index into ``methodNames``; not looked at for real samples.
  public internal(set) var methods: [Int]
  /// "real" first.
  public let methodNames: [String]
  /// The number of each sample's source (video or identity). A sample that names none has one of its own.
  public internal(set) var sources: [Int]
  /// Numbers of sources are below this.
  public let sourceCount: Int
  /// How many of the images that this was made of name no source.
  public let withoutSource: Int

  /// - Parameters:
  ///   - scores: probability of fake of each image.
  ///   - labels: 0 real, 1 fake.
  ///   - methods: index of each image's method in `methodNames`.
  ///   - methodNames: names of the methods, "real" first.
  ///   - sources: source of each image, empty where it names none; nil if none is known.
  public init(
    scores: [Double], labels: [UInt8], methods: [Int], methodNames: [String],
    sources: [String]? = nil
  ) {
    precondition(
      scores.count == labels.count && scores.count == methods.count
        && sources.map { $0.count == scores.count } ?? true,
      "ScoredSamples: expected \(scores.count) labels, methods and sources")
    self.scores = scores
    self.labels = labels
    self.methods = methods
    self.methodNames = methodNames
    var numbers: [String: Int] = [:]
    var (count, unnamed) = (0, 0)
    self.sources = scores.indices.map { image in
      if let name = sources?[image], !name.isEmpty {
        if let number = numbers[name] { return number }
        numbers[name] = count
      } else {
        unnamed += 1
      }
      count += 1
      return count - 1
    }
    sourceCount = count
    withoutSource = unnamed
  }

  /// Samples of which each is all that have the same key, label and method here: one source can have
  /// real images and fakes made from it by several methods, and they are judged apart.
  ///
  /// - Parameters:
  ///   - keys: one for each sample; equal keys have one source.
  ///   - score: of what belongs together, given as places in their order.
  func grouped(by keys: [Int], score: ([Int]) -> Double) -> ScoredSamples {
    struct Group: Hashable {
      var key: Int
      var method: Int
    }
    var numbers: [Group: Int] = [:]
    var members: [[Int]] = []
    for sample in scores.indices {
      let group = Group(key: keys[sample], method: labels[sample] == 0 ? -1 : methods[sample])
      if let number = numbers[group] {
        members[number].append(sample)
      } else {
        numbers[group] = members.count
        members.append([sample])
      }
    }
    var result = self
    result.scores = members.map(score)
    result.labels = members.map { labels[$0[0]] }
    result.methods = members.map { methods[$0[0]] }
    result.sources = members.map { sources[$0[0]] }
    return result
  }

  /// Each source is a sample, whose score is the mean of its images'.
  public var bySource: ScoredSamples {
    grouped(by: sources) { places in
      places.reduce(0) { $0 + scores[$1] } / Double(places.count)
    }
  }

  /// The samples at these places.
  func keeping(_ places: [Int]) -> ScoredSamples {
    var result = self
    result.scores = places.map { scores[$0] }
    result.labels = places.map { labels[$0] }
    result.methods = places.map { methods[$0] }
    result.sources = places.map { sources[$0] }
    return result
  }

  /// Methods that have fakes here, by their index.
  package var presentMethods: [Int] {
    Set(methods.indices.lazy.filter { labels[$0] == 1 }.map { methods[$0] }).sorted()
  }

  /// The real samples and the fakes of one method.
  package func against(_ method: Int) -> ScoredSamples {
    keeping(scores.indices.filter { labels[$0] == 0 || methods[$0] == method })
  }
}
