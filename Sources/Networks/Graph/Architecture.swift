/// What a detector is made of: its parameters, norms and head, and the layers that bind them.
///
/// Xception has an engine of its own, written for its separable units; every other network is a graph
/// of plain layers, which the general engine runs, and so is Xception where it is cut.
struct Architecture: Sendable {
  enum Layers: Sendable {
    case xception(XceptionLayers)
    case graph(NetworkGraph)
  }

  let layers: Layers
  /// In declaration order, which is forward order.
  let parameters: [Parameter]
  let norms: [BatchNorm]
  /// Elements of the running statistics.
  let runningCount: Int
  let head: Head

  init(_ form: DetectorForm) {
    if let graph = form.graph {
      self.init(graph)
    } else {
      self.init(XceptionLayers(form.name))
    }
  }

  init(_ name: DetectorName) { self.init(DetectorForm(name)) }

  /// Each class has an activation map.
  var hasActivationMaps: Bool {
    if case .graph(let graph) = layers { graph.features != nil } else { true }
  }

  init(_ graph: NetworkGraph) {
    layers = .graph(graph)
    (parameters, norms, runningCount) = (graph.parameters, graph.norms, graph.runningCount)
    head = graph.head
  }

  init(_ own: XceptionLayers) {
    layers = .xception(own)
    (parameters, norms, runningCount) = (own.parameters, own.norms, own.runningCount)
    head = Head(
      name: "fc", features: own.classifier.features, weight: own.classifier.weight,
      bias: own.classifier.bias)
  }
}
