/// What a detector costs.
public enum NetworkCost {
  /// Multiply-accumulates of one image's forward pass at a crop.
  public static func multiplyAccumulates(_ name: DetectorName, crop: Int) -> Int {
    name.graph.multiplyAccumulates(crop: crop)
  }
}
