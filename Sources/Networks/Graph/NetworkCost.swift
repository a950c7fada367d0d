/// What a detector costs.
public enum NetworkCost {
  /// Multiply-accumulates of one image's forward pass at a crop.
  public static func multiplyAccumulates(_ name: DetectorName, crop: Int) -> Int {
    switch Architecture(name).layers {
    case .graph(let graph): return graph.multiplyAccumulates(crop: crop)
    case .xception(let layers):
      return NetworkGeometry(layers, crop: crop).multiplyAccumulates(layers)
    }
  }
}
