import Foundations

/// What a detector's network ends in.
public enum HeadKind: String, Sendable {
  /// A linear layer over the average of the last map: two logits an image.
  case linear
  /// A 1×1 convolution over the last map: two logits at each of its positions (Chai et al. 2020).
  case patch
}

/// Which network a detector is: by name, where it ends, and in what.
public struct DetectorForm: Sendable, Equatable, CustomStringConvertible {
  public var name: DetectorName
  /// The last stage; nil: the whole network.
  public var truncate: String?
  public var head: HeadKind

  public init(_ name: DetectorName, truncate: String? = nil, head: HeadKind = .linear) {
    self.name = name
    self.truncate = truncate
    self.head = head
  }

  /// Nothing but the name needs to be said.
  public var isWhole: Bool { truncate == nil && head == .linear }

  public var description: String {
    name.rawValue + (truncate.map { " up to \($0)" } ?? "")
      + (head == .patch ? " with a patch head" : "")
  }

  /// Names of the stages behind which the network may end, in forward order.
  public var stages: [String] { name.graph.stages.map(\.name) }

  /// Why there is no such network, and which setting says so.
  public struct Problem: Sendable, Equatable {
    public let concernsHead: Bool
    public let text: String
  }

  /// nil where there is such a network.
  public var problem: Problem? {
    if isWhole { return nil }
    let stages = stages
    let list = stages.joined(separator: ", ")
    if let truncate, !stages.contains(truncate) {
      let near = nearest(to: truncate, among: stages).map { " (did you mean '\($0)'?)" } ?? ""
      return Problem(
        concernsHead: false,
        text: "is '\(printable(truncate))', no stage of \(name.rawValue)\(near): it has \(list)")
    }
    if truncate == nil, name.graph.features == nil {
      return Problem(
        concernsHead: true,
        text: "is patch, and \(name.rawValue) does not end in the average of a map: truncate it "
          + "behind one of its stages, \(list)")
    }
    return nil
  }

  /// Its layers.
  var graph: NetworkGraph {
    if isWhole { return name.graph }
    precondition(problem == nil, "\(problem!.text)")
    let whole = name.graph
    let stage = truncate.map { truncate in whole.stages.first { $0.name == truncate }! }
    var net = NetworkBuilder(whole, upTo: stage ?? whole.lastMap!)
    let last = net.last
    switch head {
    case .linear: return net.graph(head: whole.head.name, of: net.globalAverage(last))
    case .patch: return net.graph(patchHead: whole.head.name, of: last)
    }
  }

  /// Each class has an activation map: the network ends in an average over a map and a linear layer, or
  /// has its logits at each position.
  public var hasActivationMaps: Bool { !isWhole || name.hasActivationMaps }

  /// It has residual branches that stochastic depth may leave out. (Xception leaves none out.)
  public var hasResidualBranches: Bool { graph.branches.contains { $0 > 0 } }
}
