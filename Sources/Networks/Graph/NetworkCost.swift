/// What a detector costs.
public enum NetworkCost {
  /// Multiply-accumulates of one image's forward pass at a crop.
  public static func multiplyAccumulates(_ name: DetectorName, crop: Int) -> Int {
    let layers = XceptionLayers(name)
    return NetworkGeometry(layers, crop: crop).multiplyAccumulates(layers)
  }
}
