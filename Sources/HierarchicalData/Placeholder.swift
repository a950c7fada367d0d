// Room: HierarchicalData.
