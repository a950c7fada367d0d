/// How many images a worker takes through the network together.
public enum DetectorGroups {
  /// A rule of the batch alone, so that results do not depend on the thread count: four where there
  /// are enough images to go round, fewer in small batches.
  ///
  /// - Parameter alone: one, so that results do not depend on the batch either.
  public static func size(images: Int, alone: Bool = false) -> Int {
    alone || images < 4 ? 1 : images >= 8 ? 4 : 2
  }
}
