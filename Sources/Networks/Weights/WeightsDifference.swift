import Foundations

/// How a file's tensors differ from those of the network that they come nearest to, by names and shapes,
/// but for the head.
public struct WeightsDifference: Sendable {
  public struct Tensor: Sendable, Equatable {
    /// As the file has it, or would have it.
    public let name: String
    public let shape: [Int]
    /// What it should be, where the shape is another.
    public var expected: [Int]?

    fileprivate var text: String {
      "\(printable(name)) \(shape)" + (expected.map { ", expected \($0)" } ?? "")
    }
  }

  public let model: DetectorName
  /// Tensors of the network, and how many of them are there in their shapes.
  public let count: Int
  public let fitting: Int
  /// In the network's order: those that are not there, and those of another shape.
  public let missing: [Tensor]
  public let reshaped: [Tensor]
  /// Sorted by name: those that the network doesn't have.
  public let unexpected: [Tensor]
  /// The first thing that is wrong with them, as loading them would say it; nil where nothing is.
  public private(set) var problem: String?

  /// - Parameter shapes: by name.
  /// - Returns: nil where no network has a quarter of its tensors there.
  public init?(nearestTo shapes: [String: [Int]]) {
    var nearest: WeightsDifference?
    for model in DetectorName.allCases {
      let body = model.graph.body
      for table in [[:]] + model.publishedNames.tables {
        let found = Self(
          of: shapes, as: model,
          body: body.map { (PublishedNames.renamed($0.name, by: table), $0.shape) })
        guard 4 * (found.fitting + found.reshaped.count) > found.count, found.fitting > 0 else {
          continue
        }
        if nearest.map({ found.likeness > $0.likeness }) ?? true { nearest = found }
      }
    }
    guard var nearest else { return nil }
    nearest.problem = WeightsDescription.problem(of: shapes, as: nearest.model)
    self = nearest
  }

  private init(
    of shapes: [String: [Int]], as model: DetectorName, body: [(name: String, shape: [Int])]
  ) {
    let (prefix, strangers) = ResolvedNames.closest(
      shapes, body: body, names: model.publishedNames)
    var (missing, reshaped): ([Tensor], [Tensor]) = ([], [])
    for layer in body {
      let name = prefix + layer.name
      guard let shape = shapes[name] else {
        missing.append(Tensor(name: name, shape: layer.shape))
        continue
      }
      if !ResolvedNames.fits(shape, layer.shape) {
        reshaped.append(Tensor(name: name, shape: shape, expected: layer.shape))
      }
    }
    self.model = model
    count = body.count
    fitting = body.count - missing.count - reshaped.count
    self.missing = missing
    self.reshaped = reshaped
    unexpected = strangers.sorted().map { Tensor(name: $0, shape: shapes[$0] ?? []) }
  }

  /// Share of what fits in all that is in the network or in the file.
  private var likeness: Double { Double(fitting) / Double(count + unexpected.count) }

  /// In words, with the first few of each kind.
  public var lines: [String] {
    var lines = [
      "nearest is \(model.rawValue): \(fitting) of its \(count) tensors are there in their shapes"
    ]
    for (words, tensors) in [
      ("missing", missing), ("of another shape", reshaped), ("not its own", unexpected),
    ] where !tensors.isEmpty {
      let shown = tensors.prefix(3).map(\.text).joined(separator: "; ")
      let more = tensors.count - 3
      lines.append(
        "\(tensors.count) \(words): \(shown)" + (more > 0 ? "; and \(more) more" : ""))
    }
    return lines
  }
}
