# Bad values are refused before anything is planned, each by its own variable.
mock_provider "azurerm" {}

variables {
  subscription_id        = "00000000-0000-0000-0000-000000000001"
  tenant_id              = "00000000-0000-0000-0000-000000000002"
  location               = "germanywestcentral"
  environment            = "production"
  admin_group_object_ids = ["00000000-0000-0000-0000-000000000003"]
  database_admin         = { object_id = "00000000-0000-0000-0000-000000000004", name = "dba", type = "Group" }
  alert_email            = "operators@example.org"
  monthly_budget         = 5000
  budget_start           = "2027-01-01T00:00:00Z"
  pipeline_repository    = { owner = "hospital", owner_id = 123456, name = "medai-flow", id = 456789 }
}

run "a_subscription_is_a_uuid" {
  command = plan
  variables {
    subscription_id = "mine"
  }
  expect_failures = [var.subscription_id]
}

run "a_tenant_is_a_uuid" {
  command = plan
  variables {
    tenant_id = "ours"
  }
  expect_failures = [var.tenant_id]
}

run "a_region_has_a_short_name" {
  command = plan
  variables {
    location = "Germany West Central"
  }
  expect_failures = [var.location]
}

run "there_are_three_environments" {
  command = plan
  variables {
    environment = "prod"
  }
  expect_failures = [var.environment]
}

run "a_network_is_not_too_small" {
  command = plan
  variables {
    address_space = "10.60.0.0/24"
  }
  expect_failures = [var.address_space]
}

run "somebody_administers_the_cluster" {
  command = plan
  variables {
    admin_group_object_ids = []
  }
  expect_failures = [var.admin_group_object_ids]
}

run "an_administrator_is_of_a_known_type" {
  command = plan
  variables {
    database_admin = { object_id = "x", name = "dba", type = "Robot" }
  }
  expect_failures = [var.database_admin]
}

run "a_minor_version_has_no_patch" {
  command = plan
  variables {
    kubernetes_version = "1.33.2"
  }
  expect_failures = [var.kubernetes_version]
}

run "nodes_have_a_local_disk" {
  command = plan
  variables {
    node_size = "Standard_D8s_v5"
  }
  expect_failures = [var.node_size]
}

run "there_is_a_node_for_each_zone" {
  command = plan
  variables {
    node_count = { min = 2, max = 9 }
  }
  expect_failures = [var.node_count]
}

run "a_burstable_database_has_no_standby" {
  command = plan
  variables {
    database_size = "B_Standard_B2s"
  }
  expect_failures = [var.database_size]
}

run "storage_has_fixed_sizes" {
  command = plan
  variables {
    database_storage_mb = 100000
  }
  expect_failures = [var.database_storage_mb]
}

run "checkpoints_stay_for_six_years" {
  command = plan
  variables {
    checkpoint_retention_days = 365
  }
  expect_failures = [var.checkpoint_retention_days]
}

run "alerts_go_somewhere" {
  command = plan
  variables {
    alert_email = "nobody"
  }
  expect_failures = [var.alert_email]
}

run "a_budget_is_more_than_nothing" {
  command = plan
  variables {
    monthly_budget = 0
  }
  expect_failures = [var.monthly_budget]
}

run "a_budget_begins_with_a_month" {
  command = plan
  variables {
    budget_start = "2027-01-15T00:00:00Z"
  }
  expect_failures = [var.budget_start]
}

run "logs_are_kept_for_three_months" {
  command = plan
  variables {
    log_retention_days = 30
  }
  expect_failures = [var.log_retention_days]
}

run "a_repository_has_its_numbers" {
  command = plan
  variables {
    pipeline_repository = { owner = "hospital", owner_id = 0, name = "medai-flow", id = 456789 }
  }
  expect_failures = [var.pipeline_repository]
}
